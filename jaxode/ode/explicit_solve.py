"""An explicit solve as one loop over steps, which records what its derivative needs.

Steps, accepted and rejected, and their sizes are those of Diffrax with the same solver and
controller. What varies between solves is in three strategies:

- `jaxode.ode.step_control`: one step size for the whole state, or per-sample step sizes;
- `jaxode.ode.end_rules`: the last step ends on t1, or the answer is interpolated past it;
- `jaxode.ode.recorder`: nothing is stored, or what `replay` or `tape` needs on the way back.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax

from jaxode.ode.buffers import select
from jaxode.ode.end_rules import EndRule, LastStep
from jaxode.ode.failures import MAX_STEPS
from jaxode.ode.recorder import Memory, Recorder, Step
from jaxode.ode.residuals import Inputs, LinearizedField
from jaxode.ode.runge_kutta import Method
from jaxode.ode.step_control import StepControl
from jaxode.ode.stepsize import ControllerState
from jaxode.types import Counts, Flags, Index, NumpyTime, State, Times


class Loop(NamedTuple):
    """Where a solve stands."""

    y: State
    slope: State | None
    """f(t, y) of an FSAL method, else None."""
    last: LastStep | None
    """The last step; None unless the answer is interpolated in it."""
    t: Times
    t_next: Times
    """End of the step to try."""
    controller: ControllerState
    """State of the step-size controller."""
    failure: Counts
    """0, or a code for `jaxode.ode.explain_failure`."""
    tried: Counts
    """Number of steps, accepted and rejected."""
    accepted: Counts
    recorded: Index
    """Number of steps that some sample accepted: `accepted`, where all share one step size."""
    memory: Memory | None
    """None where no gradient is computed."""


class ExplicitSolve:
    """One solve from t0 to t1 > t0.

    Args:
      linearized: the field; with per-sample step sizes it takes times [B, 1, …, 1].
      method: the Runge-Kutta method.
      control: step-size control.
      end: how the solve ends.
      t0: start, a NumPy scalar.
      t1: end, of the same type.
      max_steps: most steps, accepted and rejected.
    """

    def __init__(
        self,
        linearized: LinearizedField,
        method: Method,
        control: StepControl,
        end: EndRule,
        t0: NumpyTime,
        t1: NumpyTime,
        *,
        max_steps: int,
    ) -> None:
        self.linearized, self.method, self.control, self.end = linearized, method, control, end
        self.t0, self.t1, self.max_steps = t0, t1, max_steps

    def start(self) -> Times:
        """t0, of each sample."""
        return jnp.broadcast_to(self.t0, self.control.batch_shape)

    def solve(self, z0: State, inputs: Inputs, recorder: Recorder) -> Loop:
        """Step until t1 is reached or the solve has failed.

        Args:
          z0: state at t0.
          inputs: what the field reads besides time and state.
          recorder: what to store of the steps.

        Returns:
          The loop after the last step.
        """
        loop = lax.while_loop(
            lambda loop: self._running(loop).any(),
            lambda loop: self._step(loop, inputs, recorder),
            self._begin(z0, inputs, recorder),
        )
        short = (loop.failure == 0) & (loop.t < self.t1)
        return loop._replace(failure=jnp.where(short, MAX_STEPS, loop.failure))

    def answer(self, loop: Loop) -> State:
        """The state at t1."""
        return self.end.answer(loop.t, loop.y, loop.last)

    def _begin(self, z0: State, inputs: Inputs, recorder: Recorder) -> Loop:
        t0 = self.start()
        slope, residuals = None, None
        if self.method.fsal:
            slope, residuals = recorder.evaluate(t0, z0, inputs)
        memory = recorder.begin(t0, z0, residuals)
        t_next, controller = self.control.first_step(
            lambda t, y: self.linearized.evaluate(t, y, inputs), t0, z0
        )
        none = jnp.zeros(self.control.batch_shape, jnp.int32)
        return Loop(
            y=z0,
            slope=slope,
            last=self.end.before_first(t0, z0, none),
            t=t0,
            t_next=self.end.first_end(t_next),
            controller=controller,
            failure=none,
            tried=none,
            accepted=none,
            recorded=jnp.zeros((), jnp.int32),
            memory=memory,
        )

    def _running(self, loop: Loop) -> Flags:
        return (loop.t < self.t1) & (loop.failure == 0) & (loop.tried < self.max_steps)

    def _step(self, loop: Loop, inputs: Inputs, recorder: Recorder) -> Loop:
        method, control, n = self.method, self.control, loop.recorded

        # Propose a step.
        running = self._running(loop)
        t_next = control.propose(loop.t, loop.t_next, running)

        # Evaluate its stages.
        tape = loop.memory and loop.memory.tape
        carry = method.begin_step(loop.y, t_next - loop.t, loop.slope, tape)
        ks, slope, tape = method.run(
            lambda t, y: recorder.evaluate(t, y, inputs),
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
            running, self.end.limit(decision), loop.t, loop.controller, loop.failure
        )
        accept, t, _, controller, failure = decision
        last = self.end.last_step(running, LastStep(ks, loop.t, loop.y, n), loop.last)
        y = select(accept, y, loop.y)

        # Record it.
        step = Step(n, loop.y, y, t, accept, running, error)
        memory = recorder.record(loop.memory, tape, step, inputs)
        return Loop(
            y=y,
            slope=select(accept, slope, loop.slope),
            last=last,
            t=t,
            t_next=decision.t_next,
            controller=controller,
            failure=failure,
            tried=loop.tried + running,
            accepted=loop.accepted + accept,
            recorded=n + accept.any(),
            memory=memory,
        )
