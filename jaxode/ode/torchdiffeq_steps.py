"""Step-size control as torchdiffeq's: its formulas, its options, its fixed grid.

Both classes have the methods of Diffrax's controllers that `jaxode.ode.step_control` calls.
"""

from __future__ import annotations

from collections.abc import Callable

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Shaped

from jaxode.ode.options import StepOptions, Tolerance
from jaxode.ode.stepsize import Norm, StartTime, initial_step
from jaxode.types import Args, BoolScalar, Index, IntScalar, RealScalar, State, Times

_UNDERFLOW = 8
"""A rejected step shorter than this many units in the last place of the span cannot shrink further.
"""

_FALLBACK_FIRST_STEP = 1e-6
"""Tried when Hairer's rule gives no finite number, so that the solve ends with a cause."""


class ErrorControl:
    """Adaptive step sizes by torchdiffeq's formulas (`rk_common.py`, `misc.py` of version 0.2.5).

    A step is accepted if r = ‖e / (atol + rtol max(|y0|, |y1|))‖ ≤ 1; the next is h · min(ifactor,
    max(safety r^(-1/order), dfactor)), with 1 for `dfactor` after r < 1. An error that is not
    finite shrinks the step, where torchdiffeq ends with "underflow in dt nan".

    Args:
      rtol: relative tolerance, a number or a prefix of the state.
      atol: absolute tolerance, likewise.
      norm: of a state.
      options: limits, factors and prescribed times.
      stops: s of the times at which a step has to end, rising.
    """

    def __init__(
        self,
        rtol: Tolerance,
        atol: Tolerance,
        norm: Norm,
        options: StepOptions,
        stops: Shaped[Array, " N"] | Shaped[np.ndarray, " N"],
    ) -> None:
        self.rtol, self.atol, self.norm, self.options = rtol, atol, norm, options
        self.stops = stops

    def first_step(
        self,
        field: Callable[[Times, State], State],
        t0: StartTime,
        y0: State,
        order: RealScalar,
        norm: Norm | None = None,
    ) -> Times:
        """Size of the first step, for one solve or for each sample; it has a derivative."""
        if self.options.first_step is not None:
            return jnp.full_like(t0, self.options.first_step)
        first = initial_step(field, t0, y0, order, self.rtol, self.atol, norm or self.norm)
        return jnp.where(jnp.isfinite(first), first, _FALLBACK_FIRST_STEP).astype(t0.dtype)

    def init(
        self,
        terms: diffrax.AbstractTerm | None,
        t0: StartTime,
        t1: StartTime,
        y0: State,
        dt0: Times | None,
        args: Args,
        func: object,
        order: RealScalar,
    ) -> tuple[Times, Times]:
        """End of the first step, and the shortest step."""
        del args, func
        if dt0 is None:
            assert terms is not None
            dt0 = self.first_step(lambda t, y: terms.vf(t, y, None), t0, y0, order)
        t0 = jnp.asarray(t0)
        shortest = _UNDERFLOW * jnp.finfo(t0.dtype).eps * jnp.abs(jnp.asarray(t1))
        return self._end(t0, dt0), shortest

    def adapt_step_size(
        self,
        t0: Times,
        t1: Times,
        y0: State,
        y1_candidate: State,
        args: Args,
        y_error: State,
        error_order: RealScalar,
        controller_state: Times,
    ) -> tuple[BoolScalar, Times, Times, bool, Times, diffrax.RESULTS]:
        """Accept or reject a step from t0 to t1, and choose the next; no gradient passes."""
        del args
        options, h = self.options, lax.stop_gradient(t1 - t0)
        y0, y1, error = lax.stop_gradient((y0, y1_candidate, y_error))
        scale = scales(self.rtol, self.atol, jax.tree.map(_larger, y0, y1))
        ratio = self.norm(jax.tree.map(jnp.divide, error, scale))
        finite = jnp.isfinite(ratio)
        ratio = jnp.where(finite, ratio, jnp.inf).astype(h.dtype)
        # A step's size is known to the rounding of its ends.
        rounding = 8 * jnp.finfo(h.dtype).eps * jnp.abs(t1)
        accept = ((ratio <= 1) | (h <= options.min_step + rounding)) & (
            h <= options.max_step + rounding
        )
        least = jnp.where(ratio < 1, 1, options.dfactor)
        power = jnp.where(ratio > 0, ratio, 1) ** (-1 / error_order)
        factor = jnp.minimum(options.ifactor, jnp.maximum(options.safety * power, least))
        factor = jnp.where(ratio > 0, factor, options.ifactor)
        following = (h * factor).astype(h.dtype)
        start = jnp.where(accept, t1, t0)
        end = self._end(start, following)
        results = diffrax.RESULTS
        short, bad = results.dt_min_reached, results.nonfinite
        cause = results.where(finite, short, bad)  # type: ignore[arg-type]
        stuck = ~accept & (lax.stop_gradient(end - start) < controller_state)
        result = results.where(stuck, cause, results.successful)  # type: ignore[arg-type]
        return accept, start, end, False, controller_state, result

    def _end(self, t: Times, h: Times) -> Times:
        """End of a step of size h from t, with its limits and the prescribed times respected."""
        options = self.options
        if options.min_step > 0 or options.max_step < np.inf:
            h = jnp.clip(h, options.min_step, options.max_step).astype(t.dtype)
        end = t + h
        if self.stops.shape[0]:
            stops = jnp.asarray(self.stops, t.dtype)
            ahead = jnp.where(stops > t, stops, jnp.inf).min()
            end = jnp.where(ahead < end, ahead, end)
        return end


class Grid:
    """Steps from point to point of a fixed grid, each accepted.

    Args:
      steps: number of steps.
      point: number of a point → s there; that of point 0 is 0.
    """

    def __init__(
        self, steps: int | Index, point: Callable[[Times | Index], Float[Array, "*samples"]]
    ) -> None:
        self.steps, self.point = steps, point

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
        return jnp.broadcast_to(self.point(jnp.asarray(1)), t0.shape)

    def init(
        self,
        terms: diffrax.AbstractTerm | None,
        t0: StartTime,
        t1: StartTime,
        y0: State,
        dt0: Times | None,
        args: Args,
        func: object,
        order: RealScalar,
    ) -> tuple[Times, Index]:
        """End of the first step, and the number of steps begun."""
        del terms, t0, t1, y0, dt0, args, func, order
        return self.point(jnp.asarray(1, jnp.int32)), jnp.asarray(1, jnp.int32)

    def adapt_step_size(
        self,
        t0: Times,
        t1: Times,
        y0: State,
        y1_candidate: State,
        args: Args,
        y_error: State,
        error_order: RealScalar,
        controller_state: Index,
    ) -> tuple[bool, Times, Times, bool, Index, diffrax.RESULTS]:
        """Accept, and go on to the next point."""
        del t0, y0, y1_candidate, args, y_error, error_order
        begun = controller_state + 1
        return True, t1, self.point(begun), False, begun, diffrax.RESULTS.successful


def scales(rtol: Tolerance, atol: Tolerance, size: State) -> State:
    """Atol + rtol |y|, for every number of a state.

    Args:
      rtol: relative tolerance, a number or a prefix of the state.
      atol: absolute tolerance, likewise.
      size: absolute values.
    """
    rtol, atol = jax.tree.broadcast(rtol, size), jax.tree.broadcast(atol, size)
    return jax.tree.map(lambda y, r, a: (a + r * y).astype(y.dtype), size, rtol, atol)


def points_of(step_size: float, end: StartTime) -> tuple[int | Index, Callable[[IntScalar], Times]]:
    """Number of steps of torchdiffeq's grid, and its points.

    The grid has ⌈span / step_size + 1⌉ points k · step_size, the last of which is moved to the end:
    by rounding, one more than the quotient says for some step sizes, 1/49 say.
    """
    if isinstance(end, np.generic | np.ndarray):
        steps: int | Index = max(1, int(np.ceil(np.float64(end) / step_size + 1)) - 1)
    else:
        steps = jnp.maximum(1, jnp.ceil(end / step_size + 1).astype(jnp.int32) - 1)
    last = jnp.asarray(end)
    return steps, lambda k: jnp.where(k >= steps, last, jnp.asarray(k * step_size, last.dtype))


def _larger(a: Float[Array, "*z"], b: Float[Array, "*z"]) -> Float[Array, "*z"]:
    return jnp.maximum(jnp.abs(a), jnp.abs(b))
