"""An explicit solve that steps past t1 and interpolates the answer, as torchdiffeq does.

The answer then depends on the state at the start of the last step and on each of its k_i, so on the
way back both receive a cotangent through the interpolating polynomial.
"""

from __future__ import annotations

from collections.abc import Callable

import diffrax
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from jaxode.ode.buffers import read, spread, zeros
from jaxode.ode.end_rules import LastInterval, LastStep
from jaxode.ode.runge_kutta import Method
from jaxode.ode.step_control import Decision, StepControl
from jaxode.ode.stepsize import StartTime
from jaxode.types import Flags, Index, NumpyTime, StageSlopes, State, Times

Interpolation = Callable[..., diffrax.AbstractLocalInterpolation]
"""t0, t1, y0, y1, k → the polynomial between the two ends of a step."""


class InterpolatePastEnd:
    """The first step that reaches t1 is the last; the answer is its polynomial at t1.

    Args:
      method: the Runge-Kutta method.
      control: step-size control of the solve.
      interpolation: the solver's polynomial.
      t1: end of the solve, a NumPy scalar.
    """

    def __init__(
        self, method: Method, control: StepControl, interpolation: Interpolation, t1: NumpyTime
    ) -> None:
        self.method, self.control, self.interpolation, self.t1 = method, control, interpolation, t1

    def first_end(self, t_next: StartTime) -> StartTime:
        """As the controller has chosen."""
        return t_next

    def limit(self, decision: Decision) -> Decision:
        """The decision as it is."""
        return decision

    def before_first(self, t0: Times, z0: State, index: Int[Array, "*samples"]) -> LastStep:
        """A step of size zero."""
        return LastStep(zeros(self.method.stages, z0), t0, z0, index)

    def last_step(self, running: Flags, step: LastStep, before: LastStep | None) -> LastStep:
        """The step, for samples that had not finished before it."""
        assert before is not None
        index = jnp.broadcast_to(step.index, self.control.batch_shape)
        t, y, index = self.control.update_running(
            running, (step.t, step.y, index), (before.t, before.y, before.index)
        )
        ks = self.control.update_running(running, step.ks, before.ks, axis=1)
        return LastStep(ks, t, y, index)

    def answer(self, t: Times, y: State, last: LastStep | None) -> State:
        """The state at t1; infinite if the solve has not reached it.

        Args:
          t: end of the last step.
          y: state there.
          last: the last step.
        """
        assert last is not None
        state = self._interpolate(y, last.y, last.ks, last.t, t)
        return jax.tree.map(
            lambda leaf: jnp.where(spread(t >= self.t1, leaf), leaf, jnp.inf), state
        )

    def interval(self, t: Times, last: LastStep | None) -> LastInterval:
        """The last step's start, its end t and its number."""
        assert last is not None
        return LastInterval(last.t, t, last.index)

    def pull_back(
        self, cotangent: State, like: State, interval: LastInterval | None
    ) -> InterpolantCotangents:
        """Cotangents of the last step's ends and k_i.

        Args:
          cotangent: of the answer.
          like: a state, for its shapes; the polynomial is linear in states and k_i.
          interval: the last step's ends and number.
        """
        assert interval is not None
        _, pull = jax.vjp(
            lambda y, start, ks: self._interpolate(y, start, ks, interval.t, interval.t_next),
            like,
            like,
            zeros(self.method.stages, like),
        )
        to_end, to_start, to_ks = pull(cotangent)
        return InterpolantCotangents(to_end, to_start, to_ks, interval.index, self.method)

    def _interpolate(self, y1: State, y0: State, ks: StageSlopes, t: Times, t_next: Times) -> State:
        def evaluate(y1: State, y0: State, ks: StageSlopes, t: Times, t_next: Times) -> State:
            polynomial = self.interpolation(t0=t, t1=t_next, y0=y0, y1=y1, k=ks)
            return polynomial.evaluate(self.t1)

        return self.control.map(evaluate, (0, 0, 1, 0, 0))(y1, y0, ks, t, t_next)


class InterpolantCotangents:
    """Cotangents of what an interpolated answer is computed from.

    Args:
      to_end: cotangent of the state at the end of the last step.
      to_start: cotangent of the state at its start.
      to_ks: cotangents of its k_i.
      last: number of the last step, of each sample.
      method: the Runge-Kutta method.
    """

    def __init__(
        self,
        to_end: State,
        to_start: State,
        to_ks: StageSlopes,
        last: Int[Array, "*samples"],
        method: Method,
    ) -> None:
        self.to_end, self.to_start, self.to_ks = to_end, to_start, to_ks
        self.last, self.method = last, method

    def add_to_start(self, step: Index, value: State) -> State:
        """The value; for the last step, with the share of its start."""
        return self._add_if_last(step, value, self.to_start)

    def add_to_stage(self, step: Index, stage: Index, value: State) -> State:
        """The value; for the last step, with the share of its k_i."""
        return self._add_if_last(step, value, read(self.to_ks, stage))

    def stages_used(self, step: Index) -> int | Index:
        """All stages of a sample's last step; else those of a step's own.

        An FSAL method's last stage is the next step's first.
        """
        if not self.method.fsal:
            return self.method.evaluations
        last = (step == self.last).any()
        return jnp.where(last, self.method.stages, self.method.evaluations)

    def _add_if_last(self, step: Index, value: State, share: State) -> State:
        return jax.tree.map(
            lambda v, s: v + jnp.where(spread(step == self.last, s), s, 0), value, share
        )
