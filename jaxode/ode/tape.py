"""The derivative of an explicit solve's steps: backward over them, stage by stage.

With Y_i the states of a step's stages and a bar for the cotangent (Hager 2000, "Runge-Kutta methods
in optimal control and the transformed adjoint system", section 2; step sizes are constants, as in
Diffrax and torchdiffeq):

    k̄_i = b_i ȳ_1 + Σ_j>i a_ji Ȳ_j,   Ȳ_i = (∂f/∂z)ᵀ h k̄_i,   ȳ_0 = ȳ_1 + Σ_i Ȳ_i

The products with (∂f/∂z)ᵀ need the evaluations' residuals. Recorded steps come in segments
(`jaxode.ode.recorder`): the tape has the residuals of one, and the solve may leave it with those of
the last. Earlier segments are run again from their first states, without the rejected steps. With
per-sample step sizes, h = 0 for a sample without a step of its own in a recorded step, so that its
cotangent passes and reaches no parameter. Outputs within a step add to the cotangents of its ends
and k_i (`jaxode.ode.dense_output`).

The sum over steps of |h| times a norm of the error estimate E = Σ_i e_i k_i is an answer too, if it
is asked for (`ExplicitSolve.measure`). With Ē its cotangent, e_i Ē is added to k̄_i; E is stored
beside the tape, so that no k_i is needed, and |h| is a constant. The last stage of an FSAL method
then has a cotangent in its own step as well.

Under torchdiffeq's stepping the first step's size h_1 has a derivative too
(`jaxode.ode.first_step`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jaxode.ode.buffers import Buffers, broadcast_time, read, spread, write, zeros
from jaxode.ode.end_rules import AnswerCotangents, Outputs
from jaxode.ode.explicit_solve import ExplicitSolve
from jaxode.ode.first_step import FirstStepCotangent, NoFirstStep
from jaxode.ode.loop_state import FirstStep, Loop
from jaxode.ode.recorder import DifferentiableRecorder, Memory, NoRecorder
from jaxode.ode.residuals import Inputs, Residuals
from jaxode.ode.runge_kutta import StageCarry, combine, combine_row
from jaxode.ode.stats import Outcome
from jaxode.ode.times import Span
from jaxode.types import Answer, Counts, Index, StageSlopes, State, Times


class Saved(NamedTuple):
    """What the way back receives from the solve."""

    memory: Memory
    recorded: Index
    """Number of recorded steps."""
    outputs: Outputs | None
    """Where the outputs are, and their slopes if times have a gradient; no states."""
    first: FirstStep | None
    failure: Counts
    z0: State
    inputs: Inputs
    times: Span | None
    """The span, if it has a gradient."""


class Cotangents(NamedTuple):
    """What the way back carries from step to step."""

    state: State
    """Cotangent of the state between two steps."""
    real: list[Float[Array, "..."]]
    """Cotangents of the real inputs."""
    next: Counts | None
    """Index of the next output on the way back."""
    first_size: Times | None
    """Cotangent of the first step's size so far; None where it has no derivative."""


class Tape(NamedTuple):
    """What the way back reads of a segment's steps."""

    residuals: Residuals
    errors: Buffers | None
    """Their error estimates, where the sum of these has a derivative."""


class StageCotangents(NamedTuple):
    """What the way back carries from stage to stage."""

    stages: StageSlopes
    """Ȳ_1 … Ȳ_s of a step."""
    real: list[Float[Array, "..."]]
    first_size: Times | None
    """What the step adds to the cotangent of its own size, if it is the first."""


def solve(
    assembled: Callable[[Span], ExplicitSolve],
    recorder: DifferentiableRecorder,
    z0: State,
    inputs: Inputs,
    span: Span,
    *,
    with_times: bool = False,
    through_first_step: bool = False,
) -> Outcome:
    """Run an explicit solve that has a derivative in reverse mode.

    Args:
      assembled: the solve of a span.
      recorder: what it stores where a gradient is computed.
      z0: state at t0.
      inputs: what the field reads besides time and state; the last real one is a shift of the time
        if times have a gradient or the first step's size has one.
      span: start, direction and output times.
      with_times: whether the times have a gradient.
      through_first_step: whether the first step's size has one.
    """
    times = span if with_times else None

    def outcome(explicit: ExplicitSolve, loop: Loop) -> Outcome:
        answer = explicit.answer(loop)
        return Outcome(answer, loop.tried, loop.accepted, loop.failure, loop.extra, loop.errors)

    @jax.custom_vjp
    def run(z0: State, inputs: Inputs, times: Span | None) -> Outcome:
        here = times or span
        explicit = assembled(here)
        loop = explicit.solve(z0, inputs, here, NoRecorder(explicit.linearized))
        return outcome(explicit, loop)

    def forward(z0: State, inputs: Inputs, times: Span | None) -> tuple[Outcome, Saved]:
        here = times or span
        explicit = assembled(here)
        loop = explicit.solve(z0, inputs, here, recorder, keep_first=through_first_step)
        assert loop.memory is not None
        where = loop.outputs and loop.outputs._replace(states=None)
        return outcome(explicit, loop), Saved(
            loop.memory, loop.recorded, where, loop.first, loop.failure, z0, inputs, times
        )

    def backward(saved: Saved, cotangents: Outcome) -> tuple[State, Inputs, Span | None]:
        here = saved.times or span
        sweep = _Sweep(assembled(here), recorder, saved, here)
        to_z0, to_real, to_times = sweep.back(
            cotangents.z1, cotangents.errors, with_times=with_times
        )
        return to_z0, Inputs(to_real, None), to_times

    run.defvjp(forward, backward)
    return run(z0, inputs, times)


class _Sweep:
    """The way back from t1 to t0."""

    def __init__(
        self,
        explicit: ExplicitSolve,
        recorder: DifferentiableRecorder,
        saved: Saved,
        span: Span,
    ) -> None:
        self.explicit, self.recorder, self.saved, self.span = explicit, recorder, saved, span
        self.method, self.linearized = explicit.method, explicit.linearized
        self.failed = (saved.failure != 0).any()
        self.blank = jax.tree.map(jnp.zeros_like, saved.z0)
        self.stages = zeros(self.method.stages, saved.z0)
        self.shared_residuals = self.linearized.shared_residuals(
            broadcast_time(explicit.start(), saved.z0), self.blank, saved.inputs
        )
        self.first = NoFirstStep()
        if saved.first is not None:
            self.first = FirstStepCotangent(explicit, saved.first, saved.memory.times[1], span)

    def back(
        self, cotangent: Answer, to_errors: Float[Array, "..."] | None, *, with_times: bool
    ) -> tuple[State, list, Span | None]:
        """Cotangents of z0, of the real inputs and of the times, from those of the answers."""
        self.to_errors = to_errors
        saved, memory, size = self.saved, self.saved.memory, self.recorder.segment
        answer = self.explicit.end.pull_back(
            cotangent, self.blank, saved.outputs, memory.times, self.span
        )
        last = (saved.recorded - 1) // size
        intact = self.recorder.intact_segment(memory, last, self.failed)

        def segment(m: Index, carry: tuple[Cotangents, Tape]) -> tuple[Cotangents, Tape]:
            cotangents, tape = carry
            first = (last - m) * size
            end = jnp.minimum(first + size, saved.recorded)
            again = jnp.where(last - m == intact, first, end)
            tape = self._run_again(first, again, answer, tape)
            cotangents = lax.fori_loop(
                0,
                end - first,
                lambda k, cotangents: self._step(end - 1 - k, cotangents, answer, tape),
                cotangents,
            )
            return cotangents, tape

        tape = Tape(self.recorder.tape_for_backward(memory), memory.errors)
        real = jax.tree.map(jnp.zeros_like, saved.inputs.real)
        begin = Cotangents(answer.to_last, real, answer.last, self.first.zero())
        end = lax.fori_loop(0, last + 1, segment, (begin, tape))[0]
        to_z0, to_real = self.first.pull_back(
            end.first_size, saved.z0, saved.inputs, answer.to_start(end.state), end.real
        )
        to_times = None
        if with_times:
            sign = jnp.zeros_like(jnp.asarray(self.span.sign))
            # A shift of the field's time is one of t0.
            to_t0 = jnp.asarray(to_real[-1]).reshape(sign.shape)
            to_times = Span(to_t0, sign, answer.to_outputs())
        return to_z0, to_real, to_times

    def _run_again(self, first: Index, end: Index, answer: AnswerCotangents, tape: Tape) -> Tape:
        """The tape after running recorded steps first, …, end - 1 once more."""
        times, layout, inputs = self.saved.memory.times, self.recorder.layout, self.saved.inputs

        def step(
            n: Index, carry: tuple[State, StageCarry, Buffers | None]
        ) -> tuple[State, StageCarry, Buffers | None]:
            y, stages, errors = carry
            stages = self.method.run(
                lambda t, y, stage: self.linearized.forward(
                    self.explicit.time_of_stage(self.span, t, stage, y), y, inputs
                ),
                lambda tape, residuals, i: write(tape, residuals, layout.index(n, i)),
                y,
                times[n],
                times[n + 1],
                (0, self._stages_used(n, answer)),
                stages,
            )
            if errors is not None:
                error = self.method.error_estimate(y, stages.ks)
                errors = write(errors, error, n % self.recorder.segment)
            return self.method.solution(y, stages.ks), stages, errors

        start = read(self.saved.memory.states, first // self.recorder.segment)
        carry = start, StageCarry(self.stages, None, tape.residuals), tape.errors
        _, stages, errors = lax.fori_loop(first, end, step, carry)
        return Tape(stages.tape, errors)

    def _stages_used(self, n: Index, answer: AnswerCotangents) -> int | Index:
        """Number of a step's stages that have a cotangent: all, if the error estimate has one."""
        return answer.stages_used(n) if self.to_errors is None else self.method.stages

    def _to_error(self, n: Index, h: Times, tape: Tape) -> State | None:
        """Cotangent of a step's error estimate."""
        if self.to_errors is None or tape.errors is None or self.explicit.measure is None:
            return None
        error = read(tape.errors, n % self.recorder.segment)
        _, pull = jax.vjp(self.explicit.measure, error)
        return pull(h * self.to_errors)[0]

    def _step(
        self, n: Index, cotangents: Cotangents, answer: AnswerCotangents, tape: Tape
    ) -> Cotangents:
        """Cotangents before recorded step n, from those after it."""
        y = cotangents.state
        method, times, layout = self.method, self.saved.memory.times, self.recorder.layout
        h = times[n + 1] - times[n]
        count, to_error = self._stages_used(n, answer), self._to_error(n, h, tape)
        share = answer.share(n, cotangents.next)
        if share is not None:
            y = jax.tree.map(jnp.add, y, share.to_end)

        def stage(m: Index, carry: StageCotangents) -> StageCotangents:
            i = count - 1 - m
            to_k = jax.tree.map(lambda leaf: jnp.asarray(method.b)[i] * leaf, y)
            if share is not None:
                to_k = jax.tree.map(jnp.add, to_k, read(share.to_ks, i))
            if to_error is not None:
                weight = jnp.asarray(method.error)[i]
                to_k = jax.tree.map(lambda k, e: k + weight * e, to_k, to_error)
            to_k = combine_row(to_k, method.a.T, i, carry.stages)
            to_y, to_real = self.linearized.vjp(
                read(tape.residuals, layout.index(n, i)),
                self.shared_residuals,
                jax.tree.map(lambda leaf: spread(h, leaf) * leaf, to_k),
            )
            return StageCotangents(
                write(carry.stages, to_y, i),
                jax.tree.map(jnp.add, carry.real, to_real),
                self.first.add_stage(carry.first_size, i, to_k, to_real),
            )

        begin = StageCotangents(self.stages, cotangents.real, self.first.zero())
        stages, real, own = lax.fori_loop(0, count, stage, begin)
        y = combine(y, jnp.ones_like(method.b), stages)
        first_size = self.first.add_step(n, cotangents, real, own, share)
        if share is None:
            return Cotangents(y, real, None, first_size)
        y = jax.tree.map(jnp.add, y, share.to_start)
        return Cotangents(y, real, share.next, first_size)
