"""Step-size controllers: a fixed grid, and adaptive steps with Hairer's first step."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
from jax import lax

from jaxode.ode.norms import rms_norm
from jaxode.ode.stepping import spread

Norm = Callable[[Any], Any]

_UNDERFLOW = 8
"""A rejected step shorter than this many units in the last place of the time cannot shrink further.
"""

_FALLBACK_FIRST_STEP = 1e-6
"""Tried when Hairer's rule gives no finite number, so that the solve ends with a cause instead of a
NaN time.
"""


def grid_steps(step_size: float, span: float) -> int:
    """Number of steps of a fixed grid; rounding in the quotient does not add one."""
    return max(1, math.ceil(span / step_size - 1e-9))


class FixedGrid(diffrax.AbstractStepSizeController[Any, Any]):
    """Steps that end at multiples of `step_size`.

    The last ends at t1 and may be shorter, as in torchdiffeq.

    (diffrax.ConstantStepSize spreads the remainder over the last steps instead.) Diffrax itself
    cuts a step that passes t1, and stretches one that ends within rounding of it.
    """

    step_size: float

    def wrap(self, direction: Any) -> FixedGrid:
        """The same grid, whichever way time runs."""
        del direction
        return self

    def first_step(self, field, t0: Any, y0, order, norm=None) -> Any:
        """Size of the first step, for each start."""
        del field, y0, order, norm
        return jnp.full_like(t0, self.step_size)

    def init(self, terms, t0: Any, t1, y0, dt0, args, func, error_order) -> tuple[Any, Any]:
        """End of the first step, and (steps begun, start)."""
        del terms, t1, y0, dt0, args, func, error_order
        return t0 + self.step_size, (jnp.asarray(1, jnp.int32), t0)

    def adapt_step_size(
        self, t0: Any, t1: Any, y0, y1_candidate, args, y_error, error_order, controller_state
    ) -> Any:
        """Accept, and end the next step on the grid.

        By a product, so that rounding does not add up.
        """
        del t0, y0, y1_candidate, args, y_error, error_order
        begun, start = controller_state
        following = start + (begun + 1).astype(t1.dtype) * self.step_size
        return True, t1, following, False, (begun + 1, start), diffrax.RESULTS.successful


class Adaptive(diffrax.AbstractAdaptiveStepSizeController[Any, Any]):
    """diffrax.PIDController's error control, with Hairer's first step and named failures.

    - Diffrax 0.7.2 begins every ODE solve with dt = 0.01 when dt0 is None; this applies the rule of
      Hairer, Nørsett and Wanner (1993), II.4, "starting step size", as torchdiffeq does.
    - A non-finite error rejects the step and shrinks it; a PIDController alone would make the next
    step NaN.
    - A rejected step too short to shrink ends the solve at once, with RESULTS.nonfinite if its
      error is not finite and RESULTS.dt_min_reached otherwise.
    """

    rtol: float
    atol: float
    norm: Norm = rms_norm
    end: Any = None
    """Where the solve really ends, if Diffrax is told a later time: the shortest step is measured
    against it.
    """

    def _inner(self) -> diffrax.PIDController:
        def finite_or_huge(scaled_error: Any) -> Any:
            size = self.norm(scaled_error)
            return jnp.where(jnp.isfinite(size), size, jnp.inf)

        return diffrax.PIDController(rtol=self.rtol, atol=self.atol, norm=finite_or_huge)

    def wrap(self, direction: Any) -> Adaptive:
        """The same controller, whichever way time runs."""
        del direction
        return self

    def first_step(self, field, t0: Any, y0, order, norm: Norm | None = None) -> Any:
        """Size of the first step.

        With per-sample step sizes, `t0` holds one time and `norm` gives one number for each
        example.
        """
        first = initial_step(field, t0, y0, order, self.rtol, self.atol, norm or self.norm)
        return jnp.where(jnp.isfinite(first), first, _FALLBACK_FIRST_STEP).astype(t0.dtype)

    def init(self, terms, t0: Any, t1: Any, y0, dt0, args, func, error_order) -> tuple[Any, Any]:
        """End of the first step, and (state of the error control, shortest step)."""
        if dt0 is None:
            # Diffrax turns terms around to run back in time; a unit of control says which way they
            # point.
            unit = terms.contr(jnp.zeros_like(t0), jnp.ones_like(t0))
            dt0 = self.first_step(lambda t, y: terms.vf_prod(t, y, args, unit), t0, y0, error_order)
        end, inner = self._inner().init(terms, t0, t1, y0, dt0, args, func, error_order)
        latest = jnp.maximum(jnp.abs(t0), jnp.abs(t1 if self.end is None else self.end))
        shortest = _UNDERFLOW * jnp.finfo(t0.dtype).eps * latest
        return end, (inner, shortest)

    def adapt_step_size(
        self, t0: Any, t1: Any, y0, y1_candidate, args, y_error, error_order, controller_state
    ) -> Any:
        """Accept or reject by the scaled error, and choose the next step.

        A step size too small for the time's precision is a failure.
        """
        inner, shortest = controller_state
        keep, next_t0, next_t1, jump, inner, result = self._inner().adapt_step_size(
            t0, t1, y0, y1_candidate, args, y_error, error_order, inner
        )
        finite = jnp.stack(
            [jnp.isfinite(jnp.sum(jnp.abs(leaf))) for leaf in jax.tree.leaves(y_error)]
        ).all()
        results: Any = diffrax.RESULTS
        cause = results.where(finite, results.dt_min_reached, results.nonfinite)
        stuck = jnp.logical_not(keep) & (next_t1 - next_t0 < shortest)
        result = results.where(lax.stop_gradient(stuck), cause, result)
        return keep, next_t0, next_t1, jump, (inner, shortest), result


def initial_step(
    field: Callable[[Any, Any], Any], t0, y0, order, rtol: float, atol: float, norm: Norm
) -> Any:
    """First step size for a method of this order; no gradient passes through it.

    Hairer, Nørsett and Wanner (1993), II.4, "starting step size", with torchdiffeq's constants.
    """
    f0 = field(t0, y0)
    scale = jax.tree.map(lambda y: atol + jnp.abs(y) * rtol, y0)

    def size(tree: Any) -> Any:
        return norm(jax.tree.map(jnp.divide, tree, scale))

    d0, d1 = size(y0), size(f0)
    tiny = (d0 < 1e-5) | (d1 < 1e-5)
    h0 = jnp.where(tiny, 1e-6, 0.01 * d0 / jnp.where(tiny, 1, d1))
    f1 = field(t0 + h0, jax.tree.map(lambda y, f: y + spread(h0, f) * f, y0, f0))
    d2 = size(jax.tree.map(jnp.subtract, f1, f0)) / h0
    steepest = jnp.maximum(d1, d2)
    flat = steepest <= 1e-15
    h1 = jnp.where(
        flat, jnp.maximum(1e-6, 1e-3 * h0), (0.01 / jnp.where(flat, 1, steepest)) ** (1 / order)
    )
    return lax.stop_gradient(jnp.minimum(100 * h0, h1))
