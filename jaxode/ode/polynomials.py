"""Polynomials between the two ends of a step, as weights of what they are linear in.

p(x) = α(x) y0 + β(x) y1 + Σ γ_i(x) k_i with x from 0 to 1 and k_i = h f_i. Every interpolant of
Diffrax is of this form, so its weights are read off its values at unit vectors.
"""

from __future__ import annotations

from collections.abc import Callable

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxode.ode.buffers import spread
from jaxode.types import RealScalar, StageSlopes, State, Times

Interpolation = Callable[..., diffrax.AbstractLocalInterpolation]
"""t0, t1, y0, y1, k → the polynomial between the two ends of a step."""

Weights = Float[Array, "*samples terms"]
"""α, β, γ_1, …, γ_s."""


def linear(
    *, t0: RealScalar, t1: RealScalar, y0: Array, y1: Array, k: Array
) -> diffrax.AbstractLocalInterpolation:
    """The straight line between the two ends, torchdiffeq's default for fixed steps."""
    del k
    return diffrax.LocalLinearInterpolation(t0=t0, t1=t1, y0=y0, y1=y1)


hermite = diffrax.ThirdOrderHermitePolynomialInterpolation.from_k
"""The cubic with the slopes of k_1 and the last k at its ends."""


class StepPolynomial:
    """The polynomial of a method's steps.

    Args:
      interpolation: Diffrax's class, or a function like it.
      stages: number of the method's k_i.
    """

    def __init__(self, interpolation: Interpolation, stages: int) -> None:
        self.interpolation, self.terms = interpolation, stages + 2

    def weights(self, x: Times) -> Weights:
        """Weights at x = (t - t_start) / h."""
        return jnp.vectorize(self._at, signature="()->(n)")(x)

    def slope_weights(self, x: Times) -> Weights:
        """Derivatives of the weights with respect to x."""
        return jax.jvp(self.weights, (x,), (jnp.ones_like(x),))[1]

    def _at(self, x: Float[Array, ""]) -> Float[Array, " terms"]:
        units = np.eye(self.terms, dtype=x.dtype)
        zero, one = x.dtype.type(0), x.dtype.type(1)
        y0, y1 = jnp.asarray(units[0]), jnp.asarray(units[1])
        if self.interpolation is diffrax.LocalLinearInterpolation:
            return self.interpolation(t0=zero, t1=one, y0=y0, y1=y1).evaluate(x)
        k = jnp.asarray(units[2:])
        return self.interpolation(t0=zero, t1=one, y0=y0, y1=y1, k=k).evaluate(x)


def combine_step(weights: Weights, y0: State, y1: State, ks: StageSlopes) -> State:
    """α y0 + β y1 + Σ γ_i k_i.

    Args:
      weights: one set, or one for each sample.
      y0: state at the start of a step.
      y1: state at its end.
      ks: its k_1, …, k_s, stacked.
    """

    def leaf(
        a: Float[Array, "*z"], b: Float[Array, "*z"], k: Float[Array, "stages *z"]
    ) -> Float[Array, "*z"]:
        total = spread(weights[..., 0], a) * a + spread(weights[..., 1], b) * b
        for i in range(k.shape[0]):
            total = total + spread(weights[..., i + 2], a) * k[i]
        return total

    return jax.tree.map(leaf, y0, y1, ks)
