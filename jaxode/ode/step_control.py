"""Step-size control of the explicit solve: one step size for the whole state, or one per sample.

With per-sample step sizes, times, step sizes and counts are arrays [B], and the loop goes on until
the last sample has finished. To a sample that has finished, a further pass of the loop is a step of
size zero whose result is discarded: it could leave numbers that are not finite.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

import diffrax
import jax
import jax.numpy as jnp

from jaxode.ode.buffers import Values, select
from jaxode.ode.failures import code_of
from jaxode.ode.fixed_grid import FixedGrid
from jaxode.ode.stepsize import Adaptive, ControllerState, Norm, StartTime
from jaxode.ode.torchdiffeq_steps import ErrorControl, Grid
from jaxode.types import (
    Arrays,
    Counts,
    Dimension,
    EndTime,
    Flags,
    IntScalar,
    NumpyTime,
    State,
    Times,
)

Field = Callable[[Times, State], State]
"""Time since the start, [] or [B], and state → dz/dt."""


Controller = FixedGrid | Adaptive | ErrorControl | Grid
"""What chooses the size of the next step."""


class Decision(NamedTuple):
    """What follows a step that was tried."""

    accept: Flags
    t: Times
    """Start of the next step."""
    t_next: Times
    """End of the next step."""
    controller: ControllerState
    """State of the step-size controller."""
    failure: Counts
    """0, or a code for `jaxode.ode.explain_failure`."""


@runtime_checkable
class StepControl(Protocol):
    """How the steps of a solve are chosen."""

    batch_shape: tuple[int, ...]
    """Shape of times, step sizes and counts: () or (B,)."""

    def first_step(
        self, field: Field, t0: Times, z0: State, end: EndTime
    ) -> tuple[StartTime, ControllerState]:
        """End of the first step, and the controller's state."""
        ...

    def first_size(self, field: Field, t0: Times, z0: State) -> Times:
        """Size of the first step by itself, which has a derivative."""
        ...

    def propose(self, t: Times, t_next: Times, running: Flags) -> Times:
        """End of the step to try, from the one that the controller has chosen."""
        ...

    def decide(
        self,
        t: Times,
        t_next: Times,
        y0: State,
        y1: State,
        error: State,
        controller: ControllerState,
    ) -> Decision:
        """Accept or reject a step from (t, y0) to (t_next, y1), and choose the next."""
        ...

    def keep_finished(
        self,
        running: Flags,
        decision: Decision,
        t: Times,
        controller: ControllerState,
        failure: Counts,
    ) -> Decision:
        """The decision for samples that run; no step, and the rest as before, for the others."""
        ...

    def update_running(self, running: Flags, new: Values, old: Values, axis: int = 0) -> Values:
        """`new` for samples that run, `old` for those that have finished."""
        ...

    def map(self, function: Callable[..., State], axes: tuple[int, ...]) -> Callable[..., State]:
        """A function of one solve's arrays, applied to each solve; `axes` are those of samples."""
        ...


class SharedStepSize:
    """One step size, error and end for the whole state, the batch included.

    Args:
      controller: chooses the step sizes.
      order: order of the method.
      zero: start of the solve, a NumPy scalar.
    """

    batch_shape = ()

    def __init__(self, controller: Controller, order: int, zero: NumpyTime) -> None:
        self.controller, self.order, self.zero = controller, order, zero

    def first_step(
        self, field: Field, t0: Times, z0: State, end: EndTime
    ) -> tuple[StartTime, ControllerState]:
        """End of the first step, and the controller's state."""
        del t0  # the controller computes with the NumPy scalar
        term = diffrax.ODETerm(lambda t, y, _: field(jnp.asarray(t), y))
        return self.controller.init(term, self.zero, end, z0, None, None, None, self.order)

    def first_size(self, field: Field, t0: Times, z0: State) -> Times:
        """Size of the first step by itself."""
        return self.controller.first_step(field, t0, z0, self.order)

    def propose(self, t: Times, t_next: Times, running: Flags) -> Times:
        """The end that the controller has chosen: the loop ends with the solve."""
        del t, running
        return t_next

    def decide(
        self,
        t: Times,
        t_next: Times,
        y0: State,
        y1: State,
        error: State,
        controller: ControllerState,
    ) -> Decision:
        """Accept or reject a step from (t, y0) to (t_next, y1), and choose the next."""
        return _decide(self.controller, self.order, t, t_next, y0, y1, error, controller)

    def keep_finished(
        self,
        running: Flags,
        decision: Decision,
        t: Times,
        controller: ControllerState,
        failure: Counts,
    ) -> Decision:
        """The decision as it is."""
        del running, t, controller, failure
        return decision

    def update_running(self, running: Flags, new: Values, old: Values, axis: int = 0) -> Values:
        """`new`: the loop ends with the solve."""
        del running, old, axis
        return new

    def map(self, function: Callable[..., State], axes: tuple[int, ...]) -> Callable[..., State]:
        """The function itself."""
        del axes
        return function


class PerSampleStepSizes:
    """A step size, error and end for each sample of a batch, as if it were solved alone.

    Args:
      controller: chooses the step sizes, from one sample's state and error.
      order: order of the method.
      norm: of one sample's state.
      samples: number of samples B.
    """

    def __init__(self, controller: Controller, order: int, norm: Norm, samples: Dimension) -> None:
        self.controller, self.order, self.norm = controller, order, norm
        self.batch_shape = (samples,)

    def first_step(
        self, field: Field, t0: Times, z0: State, end: EndTime
    ) -> tuple[StartTime, ControllerState]:
        """End of the first step, and the controller's state, of each sample."""

        def begin(t: Times, y: State, size: Times, end: EndTime) -> tuple:
            return self.controller.init(None, t, end, y, size, None, None, self.order)

        size = self.first_size(field, t0, z0)
        return jax.vmap(begin, (0, 0, 0, 0 if end.ndim else None))(t0, z0, size, end)

    def first_size(self, field: Field, t0: Times, z0: State) -> Times:
        """Size of each sample's first step by itself."""
        # Hairer's rule evaluates the field, which takes the whole batch, so it stands outside of
        # the map.
        return self.controller.first_step(field, t0, z0, self.order, jax.vmap(self.norm))

    def propose(self, t: Times, t_next: Times, running: Flags) -> Times:
        """The end that the controller has chosen; for a sample that has finished, its time."""
        return jnp.where(running, t_next, t)

    def decide(
        self,
        t: Times,
        t_next: Times,
        y0: State,
        y1: State,
        error: State,
        controller: ControllerState,
    ) -> Decision:
        """For each sample, accept or reject a step from (t, y0) to (t_next, y1)."""

        def decide(*step: Arrays) -> Decision:
            return _decide(self.controller, self.order, *step)

        return jax.vmap(decide)(t, t_next, y0, y1, error, controller)

    def keep_finished(
        self,
        running: Flags,
        decision: Decision,
        t: Times,
        controller: ControllerState,
        failure: Counts,
    ) -> Decision:
        """The decision for samples that run; the others accept nothing and stay where they are."""
        accept = decision.accept & running
        new = (decision.t, decision.controller, decision.failure)
        t, controller, failure = select(running, new, (t, controller, failure))
        return Decision(accept, t, decision.t_next, controller, failure)

    def update_running(self, running: Flags, new: Values, old: Values, axis: int = 0) -> Values:
        """`new` for samples that run, `old` for those that have finished."""
        return select(running, new, old, axis)

    def map(self, function: Callable[..., State], axes: tuple[int, ...]) -> Callable[..., State]:
        """The function, mapped over samples."""
        return jax.vmap(function, axes)


def _decide(
    controller: Controller, order: IntScalar, t: Times, t_next: Times,
    y0: State, y1: State, error: State, state: ControllerState,
) -> Decision:  # fmt: skip
    accept, t, t_next, _, state, result = controller.adapt_step_size(
        t, t_next, y0, y1, None, error, order, state
    )
    return Decision(jnp.asarray(accept), t, t_next, state, code_of(result))
