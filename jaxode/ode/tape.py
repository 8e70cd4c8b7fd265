"""The derivative of an explicit solve's steps: backward over them, stage by stage.

With Y_i the states of a step's stages and a bar for the cotangent (Hager 2000, "Runge-Kutta methods
in optimal control and the transformed adjoint system", section 2; step sizes are constants, as in
Diffrax and torchdiffeq):

    k̄_i = b_i ȳ_1 + Σ_j>i a_ji Ȳ_j,   Ȳ_i = (∂f/∂z)ᵀ h k̄_i,   ȳ_0 = ȳ_1 + Σ_i Ȳ_i

The products with (∂f/∂z)ᵀ need the evaluations' residuals. Recorded steps come in segments
(`jaxode.ode.recorder`): the tape has the residuals of one, and the solve may leave it with those of
the last. Earlier segments are run again from their first states, without the rejected steps. With
per-sample step sizes, h = 0 for a sample without a step of its own in a recorded step, so that its
cotangent passes and reaches no parameter.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jaxode.ode.buffers import broadcast_time, read, spread, write, zeros
from jaxode.ode.end_rules import AnswerCotangents, LastInterval
from jaxode.ode.explicit_solve import ExplicitSolve, Loop
from jaxode.ode.recorder import DifferentiableRecorder, Memory, NoRecorder
from jaxode.ode.residuals import Inputs, Residuals
from jaxode.ode.runge_kutta import StageCarry, combine, combine_row
from jaxode.ode.stats import Outcome
from jaxode.types import Counts, Index, StageSlopes, State


class Saved(NamedTuple):
    """What the way back receives from the solve."""

    memory: Memory
    recorded: Index
    """Number of recorded steps."""
    last: LastInterval | None
    """The last step, if the answer is interpolated in it."""
    failure: Counts
    z0: State
    inputs: Inputs


class Cotangents(NamedTuple):
    """What the way back carries from step to step."""

    state: State
    """Cotangent of the state between two steps."""
    real: list[Float[Array, "..."]]
    """Cotangents of the real inputs."""


StageCotangents = tuple[StageSlopes, list[Float[Array, "..."]]]
"""Ȳ_1 … Ȳ_s of a step, and cotangents of the real inputs."""


def solve(
    explicit: ExplicitSolve, recorder: DifferentiableRecorder, z0: State, inputs: Inputs
) -> Outcome:
    """Run an explicit solve that has a derivative in reverse mode.

    Args:
      explicit: the solve.
      recorder: what it stores where a gradient is computed.
      z0: state at t0.
      inputs: what the field reads besides time and state.
    """

    def outcome(loop: Loop) -> Outcome:
        return Outcome(explicit.answer(loop), loop.tried, loop.accepted, loop.failure)

    @jax.custom_vjp
    def run(z0: State, inputs: Inputs) -> Outcome:
        return outcome(explicit.solve(z0, inputs, NoRecorder(explicit.linearized)))

    def forward(z0: State, inputs: Inputs) -> tuple[Outcome, Saved]:
        loop = explicit.solve(z0, inputs, recorder)
        assert loop.memory is not None
        last = explicit.end.interval(loop.t, loop.last)
        return outcome(loop), Saved(loop.memory, loop.recorded, last, loop.failure, z0, inputs)

    def backward(saved: Saved, cotangents: Outcome) -> tuple[State, Inputs]:
        to_z0, to_real = _Sweep(explicit, recorder, saved).back(cotangents.z1)
        return to_z0, Inputs(to_real, None)

    run.defvjp(forward, backward)
    return run(z0, inputs)


class _Sweep:
    """The way back from t1 to t0."""

    def __init__(
        self, explicit: ExplicitSolve, recorder: DifferentiableRecorder, saved: Saved
    ) -> None:
        self.explicit, self.recorder, self.saved = explicit, recorder, saved
        self.method, self.linearized = explicit.method, explicit.linearized
        self.failed = (saved.failure != 0).any()
        self.blank = jax.tree.map(jnp.zeros_like, saved.z0)
        self.stages = zeros(self.method.stages, saved.z0)
        self.shared_residuals = self.linearized.shared_residuals(
            broadcast_time(explicit.start(), saved.z0), self.blank, saved.inputs
        )

    def back(self, cotangent: State) -> Cotangents:
        """Cotangents of z0 and of the real inputs, from that of the answer."""
        memory, size = self.saved.memory, self.recorder.segment
        answer = self.explicit.end.pull_back(cotangent, self.blank, self.saved.last)
        last = (self.saved.recorded - 1) // size
        intact = self.recorder.intact_segment(memory, last, self.failed)

        def segment(m: Index, carry: tuple[Cotangents, Residuals]) -> tuple[Cotangents, Residuals]:
            cotangents, tape = carry
            first = (last - m) * size
            end = jnp.minimum(first + size, self.saved.recorded)
            again = jnp.where(last - m == intact, first, end)
            tape = self._run_again(first, again, answer, tape)
            cotangents = lax.fori_loop(
                0,
                end - first,
                lambda k, cotangents: self._step(end - 1 - k, cotangents, answer, tape),
                cotangents,
            )
            return cotangents, tape

        tape = self.recorder.tape_for_backward(memory)
        real = jax.tree.map(jnp.zeros_like, self.saved.inputs.real)
        return lax.fori_loop(0, last + 1, segment, (Cotangents(answer.to_end, real), tape))[0]

    def _run_again(
        self, first: Index, end: Index, answer: AnswerCotangents, tape: Residuals
    ) -> Residuals:
        """The tape after running recorded steps first, …, end - 1 once more."""
        times, layout, inputs = self.saved.memory.times, self.recorder.layout, self.saved.inputs

        def step(n: Index, carry: tuple[State, StageCarry]) -> tuple[State, StageCarry]:
            y, stages = carry
            stages = self.method.run(
                lambda t, y: self.linearized.forward(broadcast_time(t, y), y, inputs),
                lambda tape, residuals, i: write(tape, residuals, layout.index(n, i)),
                y,
                times[n],
                times[n + 1],
                (0, answer.stages_used(n)),
                stages,
            )
            return self.method.solution(y, stages.ks), stages

        start = read(self.saved.memory.states, first // self.recorder.segment)
        carry = start, StageCarry(self.stages, None, tape)
        return lax.fori_loop(first, end, step, carry)[1].tape

    def _step(
        self, n: Index, cotangents: Cotangents, answer: AnswerCotangents, tape: Residuals
    ) -> Cotangents:
        """Cotangents before recorded step n, from those after it."""
        y, real = cotangents
        method, times, layout = self.method, self.saved.memory.times, self.recorder.layout
        h = times[n + 1] - times[n]
        count = answer.stages_used(n)

        def stage(m: Index, carry: StageCotangents) -> StageCotangents:
            stages, real = carry
            i = count - 1 - m
            to_k = jax.tree.map(lambda leaf: jnp.asarray(method.b)[i] * leaf, y)
            to_k = answer.add_to_stage(n, i, to_k)
            to_k = combine_row(to_k, method.a.T, i, stages)
            to_y, to_real = self.linearized.vjp(
                read(tape, layout.index(n, i)),
                self.shared_residuals,
                jax.tree.map(lambda leaf: spread(h, leaf) * leaf, to_k),
            )
            return write(stages, to_y, i), jax.tree.map(jnp.add, real, to_real)

        stages, real = lax.fori_loop(0, count, stage, (self.stages, real))
        y = combine(y, jnp.ones_like(method.b), stages)
        return Cotangents(answer.add_to_start(n, y), real)
