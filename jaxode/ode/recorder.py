"""What an explicit solve stores of its steps, for the way back (`jaxode.ode.tape`).

A recorded step is a pass of the loop in which at least one sample accepts its step; to the others,
which reject theirs or have finished, it is a step of size zero. With one shared step size, recorded
steps are the accepted steps.

Recorded steps are counted in segments. The state at the start of every segment is stored, and under
`tape` also the residuals of the latest segment's evaluations.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxode.ode.buffers import Buffers, allocate, select, write
from jaxode.ode.residuals import Inputs, LinearizedField, Residuals
from jaxode.ode.runge_kutta import Method
from jaxode.types import Flags, Index, IntScalar, State, Time, Times


class Memory(NamedTuple):
    """What a solve stores of its steps."""

    times: Float[Array, "steps *samples"]
    """Start of every recorded step, and the end of the last."""
    states: Buffers
    """State at the start of every segment; one element more, to which the other states go."""
    tape: Residuals | None
    """Residuals of the last segment's evaluations, see `TapeLayout`; None under replay."""
    tape_invalid: Bool[Array, ""]
    """Whether the tape has residuals that must not be used."""
    errors: Buffers | None = None
    """Error estimates of the last segment's steps, where their sum has a derivative."""


class Step(NamedTuple):
    """A step that was tried, as a recorder sees it."""

    index: Index
    """Number of steps recorded before."""
    y0: State
    """State before."""
    y1: State
    """State after: that before, of samples that did not accept."""
    t1: Times
    """Time after, likewise, since the start of the solve."""
    time: Time
    """The same as the field receives it."""
    accept: Flags
    running: Flags
    """Which samples had not finished before."""
    error: State


@runtime_checkable
class Recorder(Protocol):
    """What a solve evaluates and stores."""

    def evaluate(self, t: Time, y: State, inputs: Inputs) -> tuple[State, Residuals | None]:
        """dz/dt, and the residuals of this evaluation if they are stored."""
        ...

    def begin(self, t0: Times, z0: State, first: Residuals | None) -> Memory | None:
        """Memory before the first step; `first`: residuals at (t0, z0) of an FSAL method."""
        ...

    def store(
        self, tape: Residuals | None, residuals: Residuals | None, step: Index, stage: IntScalar
    ) -> Residuals | None:
        """The tape with the residuals of a step's stage."""
        ...

    def record(
        self, memory: Memory | None, tape: Residuals | None, step: Step, inputs: Inputs
    ) -> Memory | None:
        """Memory after a step that was tried; `tape`: with the residuals of its stages."""
        ...


@runtime_checkable
class DifferentiableRecorder(Recorder, Protocol):
    """A recorder whose memory suffices for the way back."""

    segment: int
    """Number of steps in a segment."""
    layout: TapeLayout
    """Of the tape on the way back."""

    def tape_for_backward(self, memory: Memory) -> Residuals:
        """The tape that the solve left, or a new one."""
        ...

    def intact_segment(self, memory: Memory, last: Index, failed: Bool[Array, ""]) -> Index:
        """Number of the segment that need not be run again; `last` + 1 if there is none."""
        ...


class NoRecorder:
    """Stores nothing: for a solve without a gradient.

    Args:
      linearized: the field.
    """

    def __init__(self, linearized: LinearizedField) -> None:
        self.linearized = linearized

    def evaluate(self, t: Time, y: State, inputs: Inputs) -> tuple[State, None]:
        """dz/dt, and None."""
        return self.linearized.evaluate(t, y, inputs), None

    def begin(self, t0: Times, z0: State, first: Residuals | None) -> None:
        """None."""
        del t0, z0, first

    def store(
        self, tape: Residuals | None, residuals: Residuals | None, step: Index, stage: IntScalar
    ) -> None:
        """None."""
        del tape, residuals, step, stage

    def record(
        self, memory: Memory | None, tape: Residuals | None, step: Step, inputs: Inputs
    ) -> None:
        """None."""
        del memory, tape, step, inputs


class TapeLayout:
    """Where the residuals of an evaluation are on a tape: a ring of `slots` places.

    An FSAL method's last stage is the next step's first, so the two share a place.

    Args:
      method: the Runge-Kutta method.
      segment: number of steps whose residuals the tape has room for.
      linearized: the field.
    """

    def __init__(self, method: Method, segment: int, linearized: LinearizedField) -> None:
        self.evaluations, self.linearized = method.evaluations, linearized
        self.slots = segment * method.evaluations + method.fsal

    def index(self, step: Index, stage: IntScalar) -> IntScalar:
        """The place of a stage's residuals."""
        return (step * self.evaluations + stage) % self.slots

    def allocate(self) -> Residuals:
        """A tape with no defined content."""
        return allocate(self.slots, self.linearized.saved)


class Checkpoints:
    """Times of all recorded steps, and the state at the start of every segment.

    Args:
      segment: number of steps in a segment.
      max_steps: most steps of a solve, accepted and rejected.
      with_errors: whether the error estimates of a segment's steps are stored too.
    """

    def __init__(self, segment: int, max_steps: int, with_errors: bool = False) -> None:
        self.segment, self.max_steps, self.with_errors = segment, max_steps, with_errors
        self.segments = -(-max_steps // segment)

    def begin(self, t0: Times, z0: State, tape: Residuals | None) -> Memory:
        """Memory before the first step."""
        times = allocate(self.max_steps + 1, t0).at[0].set(t0)
        states = allocate(self.segments + 1, z0)
        errors = allocate(self.segment, z0) if self.with_errors else None
        return Memory(times, states, tape, jnp.asarray(False), errors)

    def record(self, memory: Memory, step: Step) -> Memory:
        """Memory with the step's end, and with the state before it if a segment starts there.

        A step that no sample accepts is overwritten by the next.
        """
        n = step.index
        place = jnp.where(n % self.segment == 0, n // self.segment, self.segments)
        errors = memory.errors
        if errors is not None:
            errors = write(errors, taken_error(step.accept, step.error), n % self.segment)
        return memory._replace(
            times=write(memory.times, step.t1, n + 1),
            states=write(memory.states, step.y0, place),
            errors=errors,
        )


def taken_error(accept: Flags, error: State) -> State:
    """The error estimate of a step; zero where it was rejected, for there it may be infinite."""
    return select(accept, error, jax.tree.map(jnp.zeros_like, error))
