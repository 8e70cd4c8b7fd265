"""An explicit solve as one loop over steps, which records what its derivative needs.

Steps, accepted and rejected, and their sizes are those of Diffrax with the same solver and
controller. What varies between solves is in three strategies:

- `jaxode.ode.step_control`: one step size for the whole state, or per-sample step sizes;
- `jaxode.ode.end_rules`: the last step ends on t1, or the answer is interpolated past it;
- `jaxode.ode.recorder`: nothing is stored, or what `replay` or `tape` needs on the way back.
"""

from __future__ import annotations

import equinox.internal as eqxi
import jax
import jax.numpy as jnp
from jax import lax

from jaxode.ode.buffers import broadcast_time, select
from jaxode.ode.end_rules import EndRule, TriedStep
from jaxode.ode.extra_evaluations import FieldOfTime, outputs_with_slope, slope_behind_jump
from jaxode.ode.failures import MAX_STEPS
from jaxode.ode.loop_state import NOT_BESIDE, Evaluations, FirstStep, Loop, LoopKind
from jaxode.ode.recorder import Recorder, Step, taken_error
from jaxode.ode.residuals import Inputs, LinearizedField
from jaxode.ode.runge_kutta import Method
from jaxode.ode.step_control import StepControl
from jaxode.ode.times import Span
from jaxode.types import (
    Answer,
    ErrorMeasure,
    Flags,
    IntScalar,
    NumpyTime,
    State,
    Time,
    Times,
)


class ExplicitSolve:
    """One solve, in the time since its start.

    Args:
      linearized: the field; with per-sample step sizes it takes times [B, 1, …, 1].
      method: the Runge-Kutta method.
      control: step-size control.
      end: how the solve ends.
      zero: the time 0 in the state's type, a NumPy scalar.
      max_steps: most steps, accepted and rejected.
      beside: where the field is evaluated beside a step's start or end.
      jumps: s of the times at which the field jumps.
      slope_at_end: whether an interpolant needs the field at the end of a step.
      measure: norms of a step's error estimate, of which the sum over the accepted steps, each
        times its size, is an answer too; None for no such sum.
    """

    def __init__(
        self,
        linearized: LinearizedField,
        method: Method,
        control: StepControl,
        end: EndRule,
        zero: NumpyTime,
        *,
        max_steps: int,
        beside: Evaluations = NOT_BESIDE,
        jumps: Times | None = None,
        slope_at_end: bool = False,
        measure: ErrorMeasure | None = None,
    ) -> None:
        self.linearized, self.method, self.control, self.end = linearized, method, control, end
        self.zero, self.max_steps, self.beside = zero, max_steps, beside
        self.jumps, self.slope_at_end, self.measure = jumps, slope_at_end, measure

    def start(self) -> Times:
        """S = 0, of each sample."""
        return jnp.broadcast_to(self.zero, self.control.batch_shape)

    def solve(
        self,
        z0: State,
        inputs: Inputs,
        span: Span,
        recorder: Recorder,
        *,
        kind: LoopKind = "lax",
        keep_first: bool = False,
    ) -> Loop:
        """Step until the end is reached or the solve has failed.

        Args:
          z0: state at t0.
          inputs: what the field reads besides time and state.
          span: start, direction and output times.
          recorder: what to store of the steps.
          kind: of the loop over steps.
          keep_first: whether the k_i of the first step are stored.

        Returns:
          The loop after the last step.
        """
        begin = self.begin(z0, inputs, span, recorder, keep_first)
        condition = lambda loop: self._running(loop).any()  # noqa: E731
        body = lambda loop: self.step(loop, inputs, span, recorder)[0]  # noqa: E731
        if kind == "lax":
            loop = lax.while_loop(condition, body, begin)
        else:
            loop = eqxi.while_loop(condition, body, begin, max_steps=self.max_steps, kind=kind)
        short = (loop.failure == 0) & ~self._finished(loop)
        return loop._replace(failure=jnp.where(short, MAX_STEPS, loop.failure))

    def answer(self, loop: Loop) -> Answer:
        """The state at t1, or the states at the output times."""
        return self.end.answer(loop.y, loop.outputs)

    def time_of_stage(self, span: Span, s: Times, stage: IntScalar, y: State) -> Time:
        """The time at which the field is evaluated in a stage, as the field receives it."""
        before, after = False, False
        if self.beside.before_end:
            before = jnp.asarray(self.method.c)[stage] == 1
        if self.beside.after_start:
            after = jnp.asarray(self.method.c)[stage] == 0
        return broadcast_time(jnp.asarray(span.clock(s, before, after)), y)

    def first_size(self, z0: State, inputs: Inputs, span: Span) -> Times:
        """Size of the first step."""
        return self.control.first_size(self._field(inputs, span), self.start(), z0)

    def _field(self, inputs: Inputs, span: Span, after: bool = False) -> FieldOfTime:
        def field(s: Times, y: State) -> State:
            t = broadcast_time(jnp.asarray(span.clock(s, after=after)), y)
            return self.linearized.evaluate(t, y, inputs)

        return field

    def begin(
        self,
        z0: State,
        inputs: Inputs,
        span: Span,
        recorder: Recorder,
        keep_first: bool = False,
    ) -> Loop:
        """The loop before the first step; arguments as those of `solve`."""
        t0 = self.start()
        slope, residuals = None, None
        if self.method.fsal:
            at = broadcast_time(jnp.asarray(span.clock(t0)), z0)
            slope, residuals = recorder.evaluate(at, z0, inputs)
        memory = recorder.begin(t0, z0, residuals)
        t_next, controller = self.control.first_step(self._field(inputs, span), t0, z0, span.end)
        none = jnp.zeros(self.control.batch_shape, jnp.int32)
        first = None
        if keep_first:
            ks = jax.tree.map(lambda z: jnp.zeros((self.method.stages, *z.shape), z.dtype), z0)
            first = FirstStep(ks, none != 0)
        errors = None
        if self.measure is not None:
            like = jax.eval_shape(self.measure, z0)
            errors = jnp.zeros(like.shape, like.dtype)
        return Loop(
            y=z0,
            slope=slope,
            outputs=self.end.begin(z0, span, memory is not None),
            first=first,
            t=t0,
            t_next=self.end.first_end(t_next, span),
            controller=controller,
            failure=none,
            tried=none,
            accepted=none,
            extra=none,
            recorded=jnp.zeros((), jnp.int32),
            memory=memory,
            errors=errors,
        )

    def _finished(self, loop: Loop) -> Flags:
        return self.end.finished(loop.t, loop.accepted, loop.outputs)

    def _running(self, loop: Loop) -> Flags:
        return ~self._finished(loop) & (loop.failure == 0) & (loop.tried < self.max_steps)

    def step(
        self, loop: Loop, inputs: Inputs, span: Span, recorder: Recorder
    ) -> tuple[Loop, TriedStep]:
        """The loop after one more step, accepted or rejected, and the step."""
        method, control, n = self.method, self.control, loop.recorded

        # Propose a step.
        running = self._running(loop)
        t_next = control.propose(loop.t, loop.t_next, running)

        # Evaluate its stages.
        tape = loop.memory and loop.memory.tape
        carry = method.begin_step(loop.y, t_next - loop.t, loop.slope, tape)
        ks, slope, tape = method.run(
            lambda t, y, stage: recorder.evaluate(self.time_of_stage(span, t, stage, y), y, inputs),
            lambda tape, residuals, stage: recorder.store(tape, residuals, n, stage),
            loop.y,
            loop.t,
            t_next,
            (int(method.fsal), method.stages),
            carry,
        )
        y = method.solution(loop.y, ks)
        error = method.error_estimate(y, ks)

        # Accept or reject it.
        decision = control.decide(loop.t, t_next, loop.y, y, error, loop.controller)
        decision = control.keep_finished(
            running, self.end.limit(decision, span), loop.t, loop.controller, loop.failure
        )
        accept, t, _, controller, failure = decision
        tried = TriedStep(n, loop.t, t_next, loop.y, y, ks, accept)
        outputs, extra = loop.outputs, loop.extra
        if self.slope_at_end:
            evaluate = self._field(inputs, span)
            outputs, extra = outputs_with_slope(self.end, evaluate, loop, tried, span)
        else:
            outputs = self.end.after_step(outputs, tried, span)
        first = loop.first
        if first is not None:
            new = FirstStep(ks, jnp.broadcast_to(accept, first.accepted.shape))
            first = lax.cond(loop.tried.max() == 0, lambda: new, lambda: loop.first)
        errors = loop.errors
        if self.measure is not None and errors is not None:
            size = lax.stop_gradient(jnp.where(accept, t_next - loop.t, 0))
            errors = errors + size * self.measure(taken_error(accept, error))
        y = select(accept, y, loop.y)
        slope = select(accept, slope, loop.slope)
        if self.jumps is not None:
            behind = self._field(inputs, span, after=True)
            slope, extra = slope_behind_jump(behind, self.jumps, t, y, slope, accept, extra)

        # Record it.
        time = broadcast_time(jnp.asarray(span.clock(t)), y)
        step = Step(n, loop.y, y, t, time, accept, running, error)
        memory = recorder.record(loop.memory, tape, step, inputs)
        loop = Loop(
            y=y,
            slope=slope,
            outputs=outputs,
            first=first,
            t=t,
            t_next=decision.t_next,
            controller=controller,
            failure=failure,
            tried=loop.tried + running,
            accepted=loop.accepted + accept,
            extra=extra,
            recorded=n + accept.any(),
            memory=memory,
            errors=errors,
        )
        return loop, tried
