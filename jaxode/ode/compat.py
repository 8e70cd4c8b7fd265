"""Stepping as torchdiffeq steps, so that both take the same steps and count the same evaluations.

Forward and exact gradients: adaptive steps run past t1, and the answer is read off torchdiffeq's
quartic between the two ends of the last step ("native overshoot"). Adjoint: both solves stop at
their end times, which is torchdiffeq with `options={"step_t": [t0, t1]}` and the same in
`adjoint_options`; Diffrax allows no event in a solve that it reverses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PyTree

from jaxode.ode.norms import rms_norm
from jaxode.types import Args, NumpyTime, State, Time

FAR = 1e6
"""A time that no solve of ours reaches; an event ends it first."""


class _Quartic(diffrax.FourthOrderPolynomialInterpolation):
    middle: ClassVar[np.ndarray]

    @property
    def c_mid(self) -> np.ndarray:
        """Weights of the slopes at the middle of the step.

        A new array each time: JAX 0.10 would go on using the float32 rounding of one that it has
        met in float32.
        """
        return self.middle.copy()


class _Bosh3Quartic(_Quartic):
    middle = np.array([0.0, 0.5, 0.0, 0.0])


class _Dopri5Quartic(_Quartic):
    middle = diffrax.Dopri5.interpolation_cls.c_mid  # which is torchdiffeq's already


class _Dopri8Quartic(_Quartic):
    # The dense output of Prince and Dormand's 8(7) method at the middle of the step, as torchdiffeq
    # evaluates it.
    middle = np.array(
        [
            0.04103130360739393,
            0.0,
            0.0,
            0.0,
            0.0,
            0.05100562801991382,
            0.2388930677412202,
            0.3096870143996103,
            -0.2172325471755352,
            0.07833405679331928,
            -0.0018614369715579948,
            0.007072844202678841,
            0.00690847373200576,
            -0.013838404349047373,
        ]
    )


class Bosh3(diffrax.Bosh3):
    """Bogacki and Shampine's 3(2) pair with torchdiffeq's quartic."""

    interpolation_cls: ClassVar[Callable[..., diffrax.AbstractLocalInterpolation]] = _Bosh3Quartic


class Dopri5(diffrax.Dopri5):
    """Dormand and Prince's 5(4) pair with torchdiffeq's quartic."""

    interpolation_cls: ClassVar[Callable[..., diffrax.AbstractLocalInterpolation]] = _Dopri5Quartic


class Dopri8(diffrax.Dopri8):
    """Prince and Dormand's 8(7) pair with torchdiffeq's quartic."""

    interpolation_cls: ClassVar[Callable[..., diffrax.AbstractLocalInterpolation]] = _Dopri8Quartic


QUARTIC_SOLVERS: dict[str, Callable[[], diffrax.AbstractSolver]] = {
    "bosh3": Bosh3,
    "dopri5": Dopri5,
    "dopri8": Dopri8,
}
"""The adaptive solvers that both sides have."""


def passed(t1: NumpyTime) -> diffrax.Event:
    """The event that ends a solve after the first step to reach t1."""

    def cond(t: Time, y: State, args: Args, **_: object) -> Bool[Array, ""]:
        del y, args
        return t >= t1

    return diffrax.Event(cond)


WithClock = tuple[State, Float[Array, ""]]
"""A state (z, τ) with a clock (`jaxode.ode.guard`), or its adjoint."""

AdjointState = tuple[WithClock, WithClock, tuple[Args, Float[Array, ""]], PyTree]
"""Diffrax's adjoint state (y, a_y, a_args, a_terms) of such a solve; its args are (args, c).

The norms below leave the clock out.
"""

Size = Float[Array, ""]


def forward_norm(state: WithClock) -> Size:
    """RMS over z."""
    return rms_norm(state[0])


def mixed_norm(adjoint_state: AdjointState) -> Size:
    """Torchdiffeq's norm: the largest RMS of z, its adjoint, each gradient and the time's."""
    y, a_y, (a_args, _), _ = adjoint_state
    sizes = [rms_norm(y[0]), rms_norm(a_y[0])]
    return jnp.max(jnp.stack([*sizes, *(rms_norm(leaf) for leaf in jax.tree.leaves(a_args))]))


def mixed_seminorm(adjoint_state: AdjointState) -> Size:
    """The same without the parameters' gradients but with the time's, as torchdiffeq's seminorm."""
    y, a_y, ((_, a_shift), _), _ = adjoint_state
    return jnp.max(jnp.stack([rms_norm(y[0]), rms_norm(a_y[0]), jnp.abs(a_shift)]))


def pooled_norm(adjoint_state: AdjointState) -> Size:
    """As Diffrax: RMS over z, its adjoint and all gradients together."""
    y, a_y, (a_args, _), a_terms = adjoint_state
    return rms_norm((y[0], a_y[0], a_args, a_terms))


def pooled_seminorm(adjoint_state: AdjointState) -> Size:
    """RMS over z and its adjoint together (Kidger, Chen and Lyons 2021)."""
    y, a_y, _, _ = adjoint_state
    return rms_norm((y[0], a_y[0]))
