"""torchdiffeq's adaptive Runge-Kutta methods, with its quartic between the two ends of a step.

adaptive_heun and fehlberg2 take their last stage for the next step's first, which it is not: their
weights differ from that stage's. They are here as torchdiffeq has them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import diffrax
import numpy as np


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


class _HeunQuartic(_Quartic):
    middle = np.array([0.5, 0.0])


class _Fehlberg2Quartic(_Quartic):
    middle = np.array([0.0, 0.5, 0.0])


class Bosh3(diffrax.Bosh3):
    """Bogacki and Shampine's 3(2) pair with torchdiffeq's quartic."""

    interpolation_cls: ClassVar[Callable[..., diffrax.AbstractLocalInterpolation]] = _Bosh3Quartic


class Dopri5(diffrax.Dopri5):
    """Dormand and Prince's 5(4) pair with torchdiffeq's quartic."""

    interpolation_cls: ClassVar[Callable[..., diffrax.AbstractLocalInterpolation]] = _Dopri5Quartic


class Dopri8(diffrax.Dopri8):
    """Prince and Dormand's 8(7) pair with torchdiffeq's quartic."""

    interpolation_cls: ClassVar[Callable[..., diffrax.AbstractLocalInterpolation]] = _Dopri8Quartic


class _LastStageReused(diffrax.AbstractERK):
    """A method whose last stage torchdiffeq takes for the next step's first."""

    reuses_last_stage: ClassVar[bool] = True

    def order(self, terms: object) -> int:
        """Order of convergence, by which step sizes are chosen."""
        del terms
        return 2


class AdaptiveHeun(_LastStageReused):
    """Heun's method with Euler's as its error estimate."""

    tableau: ClassVar[diffrax.ButcherTableau] = diffrax.ButcherTableau(
        a_lower=(np.array([1.0]),),
        b_sol=np.array([0.5, 0.5]),
        b_error=np.array([0.5, -0.5]),
        c=np.array([1.0]),
    )
    interpolation_cls: ClassVar[Callable[..., diffrax.AbstractLocalInterpolation]] = _HeunQuartic


class Fehlberg2(_LastStageReused):
    """Fehlberg's 1(2) pair (Fehlberg 1969, "Low-order classical Runge-Kutta formulas")."""

    tableau: ClassVar[diffrax.ButcherTableau] = diffrax.ButcherTableau(
        a_lower=(np.array([1 / 2]), np.array([1 / 256, 255 / 256])),
        b_sol=np.array([1 / 512, 255 / 256, 1 / 512]),
        b_error=np.array([-1 / 512, 0.0, 1 / 512]),
        c=np.array([1 / 2, 1.0]),
    )
    interpolation_cls: ClassVar[Callable[..., diffrax.AbstractLocalInterpolation]] = (
        _Fehlberg2Quartic
    )


TORCHDIFFEQ_SOLVERS: dict[str, Callable[[], diffrax.AbstractSolver]] = {
    "bosh3": Bosh3,
    "dopri5": Dopri5,
    "dopri8": Dopri8,
    "adaptive_heun": AdaptiveHeun,
    "fehlberg2": Fehlberg2,
}
"""torchdiffeq's adaptive methods, by their names."""
