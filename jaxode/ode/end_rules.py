"""How an explicit solve ends and what it answers: the protocol, and steps that end on t1.

The other rule, states at any number of times by interpolation, is `jaxode.ode.dense_output`'s.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxode.ode.buffers import Buffers
from jaxode.ode.runge_kutta import Method
from jaxode.ode.step_control import Decision
from jaxode.ode.stepsize import StartTime
from jaxode.ode.times import Span
from jaxode.types import Answer, Arrays, Counts, Flags, Index, NumpyTime, StageSlopes, State, Times


class TriedStep(NamedTuple):
    """A step that was tried, as an end rule sees it."""

    index: Index
    """Number of steps recorded before it."""
    t: Times
    """Its start."""
    t_next: Times
    """Its end."""
    y0: State
    y1: State
    """The method's solution at its end."""
    ks: StageSlopes
    accept: Flags


class Outputs(NamedTuple):
    """States at the output times so far."""

    states: Buffers
    next: Counts
    """Index of the next output."""
    steps: Int[Array, "T *samples"] | None
    """Number of the recorded step that each output lies in, -1 for the start; None where no
    gradient is computed."""
    slopes: Buffers | None
    """Slope of the interpolant at each output, where times have a gradient."""


class Share(NamedTuple):
    """What the outputs within a step add to the cotangents of its ends and k_i."""

    to_start: State
    to_end: State
    to_ks: StageSlopes
    next: Counts
    """Index of the next output on the way back."""
    to_end_time: Times
    """Of the step's end, with its k_i fixed: zero where times have no gradient."""
    to_shift: Times
    """Of a shift of the whole step in time, likewise."""


@runtime_checkable
class EndRule(Protocol):
    """What happens at t1."""

    slopes: bool
    """Whether the slopes at the outputs are stored, for gradients of times."""

    def first_end(self, t_next: StartTime, span: Span) -> StartTime:
        """End of the first step."""
        ...

    def limit(self, decision: Decision, span: Span) -> Decision:
        """The decision whose next step obeys the rule."""
        ...

    def begin(self, z0: State, span: Span, recorded: bool) -> Outputs | None:
        """The outputs before the first step."""
        ...

    def after_step(self, outputs: Outputs | None, step: TriedStep, span: Span) -> Outputs | None:
        """The outputs with those within a step."""
        ...

    def finished(self, t: Times, accepted: Counts, outputs: Outputs | None) -> Flags:
        """Whether the solve has reached its end."""
        ...

    def answer(self, y: State, outputs: Outputs | None) -> Answer:
        """What the solve returns."""
        ...

    def pull_back(
        self, cotangent: Answer, like: State, outputs: Outputs | None, times: Arrays, span: Span
    ) -> AnswerCotangents:
        """Cotangents of what the answer is computed from."""
        ...


@runtime_checkable
class AnswerCotangents(Protocol):
    """Cotangents of what the answer is computed from."""

    to_last: State
    """Of the state at the end of the last step."""
    last: Counts | None
    """Index of the last output, from which the way back starts."""

    def share(self, step: Index, following: Counts | None) -> Share | None:
        """What the outputs within a recorded step add."""
        ...

    def stages_used(self, step: Index) -> int | Index:
        """Number of a step's stages that have a cotangent."""
        ...

    def to_start(self, value: State) -> State:
        """A cotangent of z0, with that of the outputs at the start."""
        ...

    def to_outputs(self) -> Float[Array, "T *samples"]:
        """Cotangents of the output times."""
        ...


class ClipToEnd:
    """The last step ends on t1, as in Diffrax; the answer is the state there.

    Args:
      method: the Runge-Kutta method.
      t1: end of the solve, a NumPy scalar.
    """

    slopes = False

    def __init__(self, method: Method, t1: NumpyTime) -> None:
        self.method, self.t1 = method, t1

    def first_end(self, t_next: StartTime, span: Span) -> StartTime:
        """No later than t1."""
        del span
        return jnp.minimum(t_next, self.t1)

    def limit(self, decision: Decision, span: Span) -> Decision:
        """A step that ends within 100 ulp of t1, or past it, ends on t1, as in Diffrax."""
        del span
        return clip(decision, self.t1)

    def begin(self, z0: State, span: Span, recorded: bool) -> None:
        """None: the answer is the last state."""
        del z0, span, recorded

    def after_step(self, outputs: Outputs | None, step: TriedStep, span: Span) -> None:
        """None."""
        del outputs, step, span

    def finished(self, t: Times, accepted: Counts, outputs: Outputs | None) -> Flags:
        """Whether t1 is reached."""
        del accepted, outputs
        return ~(t < self.t1)

    def answer(self, y: State, outputs: Outputs | None) -> Answer:
        """The state at the end of the last step."""
        del outputs
        return y

    def pull_back(
        self, cotangent: Answer, like: State, outputs: Outputs | None, times: Arrays, span: Span
    ) -> EndState:
        """The cotangent is that of the last state."""
        del like, outputs, times, span
        return EndState(cotangent, self.method)


def clip(decision: Decision, t1: Times | NumpyTime) -> Decision:
    """The decision with a next step that ends on t1 if it came within 100 ulp of it, or past it.

    After a rejection it is halved instead, as in Diffrax.
    """
    t, t_next = decision.t, decision.t_next
    start = jnp.minimum(t, t1)
    if isinstance(t1, np.generic):
        floor = np.asarray(t1)
        for _ in range(100):
            floor = np.nextafter(floor, np.asarray(-np.inf, floor.dtype))
    else:
        floor = t1 - 100 * jnp.finfo(t1.dtype).eps * jnp.abs(t1)
    end = jnp.where(decision.accept, t1, t + 0.5 * (t1 - t))
    return decision._replace(t=start, t_next=jnp.where(t_next > floor, end, t_next))


class EndState:
    """Cotangents of an answer that is the state at the end of the last step.

    Args:
      to_last: cotangent of that state.
      method: the Runge-Kutta method.
    """

    last: Counts | None = None

    def __init__(self, to_last: State, method: Method) -> None:
        self.to_last, self.method = to_last, method

    def share(self, step: Index, following: Counts | None) -> None:
        """None: the answer depends on no step but through the last state."""
        del step, following

    def stages_used(self, step: Index) -> int:
        """Those of a step's own: an FSAL method's last stage is the next step's first."""
        del step
        return self.method.evaluations

    def to_start(self, value: State) -> State:
        """The value."""
        return value

    def to_outputs(self) -> Float[Array, "T *samples"]:
        """Not called: the times of such a solve are constants."""
        raise NotImplementedError
