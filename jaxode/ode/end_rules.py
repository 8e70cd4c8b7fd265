"""How an explicit solve ends: the protocol, and the rule of steps that end on t1.

The other rule, interpolation past t1, is `jaxode.ode.interpolated_end`'s.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from jaxode.ode.runge_kutta import Method
from jaxode.ode.step_control import Decision
from jaxode.ode.stepsize import StartTime
from jaxode.types import Flags, Index, NumpyTime, StageSlopes, State, Times


class LastStep(NamedTuple):
    """The last step of a solve, from which the state at t1 is interpolated."""

    ks: StageSlopes
    t: Times
    """Its start."""
    y: State
    """State at its start."""
    index: Int[Array, "*samples"]
    """Number of steps recorded before it."""


class LastInterval(NamedTuple):
    """What the derivative of an interpolated end needs."""

    t: Times
    t_next: Times
    index: Int[Array, "*samples"]


@runtime_checkable
class EndRule(Protocol):
    """What happens at t1."""

    def first_end(self, t_next: StartTime) -> StartTime:
        """End of the first step."""
        ...

    def limit(self, decision: Decision) -> Decision:
        """The decision whose next step obeys the rule."""
        ...

    def before_first(self, t0: Times, z0: State, index: Int[Array, "*samples"]) -> LastStep | None:
        """What is stored of the last step, before there is one."""
        ...

    def last_step(self, running: Flags, step: LastStep, before: LastStep | None) -> LastStep | None:
        """What is stored of the last step, after a step that was tried."""
        ...

    def answer(self, t: Times, y: State, last: LastStep | None) -> State:
        """The state at t1."""
        ...

    def interval(self, t: Times, last: LastStep | None) -> LastInterval | None:
        """What the derivative of the answer needs."""
        ...

    def pull_back(
        self, cotangent: State, like: State, interval: LastInterval | None
    ) -> AnswerCotangents:
        """Cotangents of what the answer is computed from."""
        ...


@runtime_checkable
class AnswerCotangents(Protocol):
    """Cotangents of what the answer is computed from."""

    to_end: State
    """Of the state at the end of the last step."""

    def add_to_start(self, step: Index, value: State) -> State:
        """A cotangent of the state at the start of a step, with the answer's share."""
        ...

    def add_to_stage(self, step: Index, stage: Index, value: State) -> State:
        """A cotangent of a step's k_i, with the answer's share."""
        ...

    def stages_used(self, step: Index) -> int | Index:
        """Number of a step's stages that have a cotangent."""
        ...


class ClipToEnd:
    """The last step ends on t1, as in Diffrax.

    Args:
      method: the Runge-Kutta method.
      t1: end of the solve, a NumPy scalar.
    """

    def __init__(self, method: Method, t1: NumpyTime) -> None:
        self.method, self.t1 = method, t1

    def first_end(self, t_next: StartTime) -> StartTime:
        """No later than t1."""
        return jnp.minimum(t_next, self.t1)

    def limit(self, decision: Decision) -> Decision:
        """A step that ends within 100 ulp of t1, or past it, ends on t1, as in Diffrax.

        After a rejection it is halved instead.
        """
        t, t_next = decision.t, decision.t_next
        start = jnp.minimum(t, self.t1)
        floor = np.asarray(self.t1)
        for _ in range(100):
            floor = np.nextafter(floor, np.asarray(-np.inf, floor.dtype))
        end = jnp.where(decision.accept, self.t1, t + 0.5 * (self.t1 - t))
        return decision._replace(t=start, t_next=jnp.where(t_next > floor, end, t_next))

    def before_first(self, t0: Times, z0: State, index: Int[Array, "*samples"]) -> None:
        """None: the last step has nothing to it."""
        del t0, z0, index

    def last_step(self, running: Flags, step: LastStep, before: LastStep | None) -> None:
        """None."""
        del running, step, before

    def answer(self, t: Times, y: State, last: LastStep | None) -> State:
        """The state at the end of the last step."""
        del t, last
        return y

    def interval(self, t: Times, last: LastStep | None) -> None:
        """None."""
        del t, last

    def pull_back(self, cotangent: State, like: State, interval: LastInterval | None) -> EndState:
        """The cotangent is that of the last state."""
        del like, interval
        return EndState(cotangent, self.method)


class EndState:
    """Cotangents of an answer that is the state at the end of the last step.

    Args:
      to_end: cotangent of that state.
      method: the Runge-Kutta method.
    """

    def __init__(self, to_end: State, method: Method) -> None:
        self.to_end, self.method = to_end, method

    def add_to_start(self, step: Index, value: State) -> State:
        """The value: the answer depends on no start of a step."""
        del step
        return value

    def add_to_stage(self, step: Index, stage: Index, value: State) -> State:
        """The value: the answer depends on the k_i through the last state alone."""
        del step, stage
        return value

    def stages_used(self, step: Index) -> int:
        """Those of a step's own: an FSAL method's last stage is the next step's first."""
        del step
        return self.method.evaluations
