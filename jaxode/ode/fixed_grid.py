"""The step-size controller of fixed steps: a grid as torchdiffeq's."""

from __future__ import annotations

import math
from collections.abc import Callable

import diffrax
import jax.numpy as jnp

from jaxode.ode.stepsize import Norm, StartTime, Terms
from jaxode.types import Args, BoolScalar, Index, IntScalar, RealScalar, State, Times


def grid_steps(step_size: float, span: float) -> int:
    """Number of steps of a fixed grid; rounding in the quotient does not add one."""
    return max(1, math.ceil(span / step_size - 1e-9))


class FixedGrid(diffrax.AbstractStepSizeController[tuple[Index, StartTime], None]):
    """Steps that end at multiples of `step_size`.

    The last ends at t1 and may be shorter, as in torchdiffeq. (diffrax.ConstantStepSize spreads the
    remainder over the last steps instead.) Diffrax itself cuts a step that passes t1, and stretches
    one that ends within rounding of it.

    Args:
      step_size: positive.
    """

    step_size: float

    def wrap(self, direction: IntScalar) -> FixedGrid:
        """The same grid, whichever way time runs."""
        del direction
        return self

    def first_step(
        self,
        field: Callable[[Times, State], State],
        t0: Times,
        y0: State,
        order: RealScalar,
        norm: Norm | None = None,
    ) -> Times:
        """Size of the first step, for each start."""
        del field, y0, order, norm
        return jnp.full_like(t0, self.step_size)

    def init(
        self,
        terms: Terms,
        t0: StartTime,
        t1: StartTime,
        y0: State,
        dt0: RealScalar | None,
        args: Args,
        func: Callable[..., State] | None,
        error_order: RealScalar | None,
    ) -> tuple[StartTime, tuple[Index, StartTime]]:
        """End of the first step, and (steps begun, start)."""
        del terms, t1, y0, dt0, args, func, error_order
        return t0 + self.step_size, (jnp.asarray(1, jnp.int32), t0)

    def adapt_step_size(
        self,
        t0: Times,
        t1: Times,
        y0: State,
        y1_candidate: State,
        args: Args,
        y_error: State | None,
        error_order: RealScalar,
        controller_state: tuple[Index, StartTime],
    ) -> tuple[BoolScalar, Times, Times, bool, tuple[Index, StartTime], diffrax.RESULTS]:
        """Accept, and end the next step on the grid.

        By a product, so that rounding does not add up.
        """
        del t0, y0, y1_candidate, args, y_error, error_order
        begun, start = controller_state
        following = start + (begun + 1).astype(t1.dtype) * self.step_size
        return True, t1, following, False, (begun + 1, start), diffrax.RESULTS.successful
