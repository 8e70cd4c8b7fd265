"""The adaptive step-size controller: error control with Hairer's first step."""

from __future__ import annotations

from collections.abc import Callable

import diffrax
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, ArrayLike, Float, PyTree, Shaped

from jaxode.ode.buffers import spread
from jaxode.ode.norms import rms_norm
from jaxode.types import (
    Args,
    BoolScalar,
    EndTime,
    IntScalar,
    NumpyTime,
    RealScalar,
    State,
    Times,
)

Norm = Callable[[PyTree], Array]
"""State → its size."""

ControllerState = PyTree[Shaped[ArrayLike, "..."]]
"""What a controller remembers from step to step."""

AdaptiveState = tuple[ControllerState, Float[Array, ""]]
"""Of the error control, and the shortest step."""

Terms = PyTree[diffrax.AbstractTerm] | None
"""A field as Diffrax's term; None where the first step is known."""

StartTime = EndTime
"""Of a solve that starts there: a NumPy scalar, or an array."""

_UNDERFLOW = 8
"""A rejected step shorter than this many units in the last place of the time cannot shrink further.
"""

_FALLBACK_FIRST_STEP = 1e-6
"""Tried when Hairer's rule gives no finite number, so that the solve ends with a cause instead of a
NaN time.
"""


class Adaptive(diffrax.AbstractAdaptiveStepSizeController[AdaptiveState, RealScalar | None]):
    """diffrax.PIDController's error control, with Hairer's first step and named failures.

    - Diffrax 0.7.2 begins every ODE solve with dt = 0.01 when dt0 is None; this applies the rule of
      Hairer, Nørsett and Wanner (1993), II.4, "starting step size", as torchdiffeq does.
    - A non-finite error rejects the step and shrinks it; a PIDController alone would make the next
      step NaN.
    - A rejected step too short to shrink ends the solve at once, with RESULTS.nonfinite if its
      error is not finite and RESULTS.dt_min_reached otherwise.

    Args:
      rtol: relative tolerance.
      atol: absolute tolerance.
      norm: of the error, divided by the tolerances element by element.
      end: where the solve ends, if Diffrax receives a later time: the shortest step is measured
        against it.
    """

    rtol: float
    atol: float
    norm: Norm = rms_norm
    end: NumpyTime | None = None

    def _inner(self) -> diffrax.PIDController:
        def finite_or_huge(scaled_error: State) -> Float[Array, ""]:
            size = self.norm(scaled_error)
            return jnp.where(jnp.isfinite(size), size, jnp.inf)

        return diffrax.PIDController(rtol=self.rtol, atol=self.atol, norm=finite_or_huge)

    def wrap(self, direction: IntScalar) -> Adaptive:
        """The same controller, whichever way time runs."""
        del direction
        return self

    def first_step(
        self,
        field: Callable[[Times, State], State],
        t0: StartTime,
        y0: State,
        order: RealScalar,
        norm: Norm | None = None,
    ) -> Times:
        """Size of the first step, by `initial_step`, or 1e-6 where that is not finite.

        Args:
          field: t, y → dy/dt.
          t0: start; with per-sample step sizes one for each sample [B].
          y0: state at t0.
          order: of the method.
          norm: of a state, likewise [] or [B]; the controller's own if None.
        """
        first = initial_step(field, t0, y0, order, self.rtol, self.atol, norm or self.norm)
        first = lax.stop_gradient(first)
        return jnp.where(jnp.isfinite(first), first, _FALLBACK_FIRST_STEP).astype(t0.dtype)

    def init(
        self,
        terms: Terms,
        t0: StartTime,
        t1: StartTime,
        y0: State,
        dt0: RealScalar | None,
        args: Args,
        func: Callable[..., State] | None,
        error_order: RealScalar,
    ) -> tuple[StartTime, AdaptiveState]:
        """End of the first step, and (state of the error control, shortest step).

        Args:
          terms: the field as Diffrax's term; read only if `dt0` is None.
          t0: start.
          t1: end.
          y0: state at t0.
          dt0: size of the first step, or None to choose it.
          args: the field's arguments.
          func: not used.
          error_order: order of the error estimate.
        """
        if dt0 is None:
            assert isinstance(terms, diffrax.AbstractTerm)
            # Diffrax turns terms around to run back in time; a unit of control says which way they
            # point.
            unit = terms.contr(jnp.zeros_like(t0), jnp.ones_like(t0))
            dt0 = self.first_step(lambda t, y: terms.vf_prod(t, y, args, unit), t0, y0, error_order)
        end, inner = self._inner().init(
            terms,
            t0,
            t1,
            y0,
            dt0,
            args,
            func,  # type: ignore[arg-type]
            error_order,
        )
        latest = jnp.maximum(jnp.abs(t0), jnp.abs(t1 if self.end is None else self.end))
        shortest = _UNDERFLOW * jnp.finfo(t0.dtype).eps * latest
        return end, (inner, shortest)  # type: ignore[return-value]

    def adapt_step_size(
        self,
        t0: Times,
        t1: Times,
        y0: State,
        y1_candidate: State,
        args: Args,
        y_error: State,
        error_order: RealScalar,
        controller_state: AdaptiveState,
    ) -> tuple[
        BoolScalar,
        Times,
        Times,
        BoolScalar,
        AdaptiveState,
        diffrax.RESULTS,
    ]:
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
        results = diffrax.RESULTS
        cause = results.where(finite, results.dt_min_reached, results.nonfinite)  # type: ignore[arg-type]
        stuck = jnp.logical_not(keep) & (next_t1 - next_t0 < shortest)
        result = results.where(lax.stop_gradient(stuck), cause, result)
        return keep, next_t0, next_t1, jump, (inner, shortest), result  # type: ignore[return-value]


def initial_step(
    field: Callable[[Times, State], State],
    t0: StartTime,
    y0: State,
    order: RealScalar,
    rtol: PyTree,
    atol: PyTree,
    norm: Norm,
) -> Times:
    """First step size for a method of this order.

    Hairer, Nørsett and Wanner (1993), II.4, "starting step size", with torchdiffeq's constants.

    Args:
      field: t, y → dy/dt.
      t0: start, [] or one for each sample [B].
      y0: state at t0.
      order: of the method.
      rtol: relative tolerance, a number or a prefix of the state.
      atol: absolute tolerance, likewise.
      norm: of a state, [] or [B].
    """
    f0 = field(t0, y0)
    rtol, atol = jax.tree.broadcast(rtol, y0), jax.tree.broadcast(atol, y0)
    # |y|, whose derivative at 0 is 0 as PyTorch's is; that of `jnp.abs` is 1.
    size_of = jax.tree.map(lambda y: y * lax.stop_gradient(jnp.sign(y)), y0)
    scale = jax.tree.map(lambda y, r, a: a + y * r, size_of, rtol, atol)

    def size(tree: State) -> Times:
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
    return jnp.minimum(100 * h0, h1)
