"""Fixed-step Runge-Kutta methods that torchdiffeq offers and Diffrax lacks, as Diffrax solvers."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import diffrax
import numpy as np


class FixedStep(diffrax.AbstractERK):
    """What the methods below share.

    None has an embedded method, so the error estimate is zero: fixed steps only.
    """

    convergence: ClassVar[int] = 4
    interpolation_cls: ClassVar[Callable[..., diffrax.AbstractLocalInterpolation]] = (
        diffrax.ThirdOrderHermitePolynomialInterpolation.from_k
    )

    def order(self, terms: object) -> int:
        """Order of convergence."""
        del terms
        return self.convergence


class Heun3(FixedStep):
    """Heun's method of order 3, torchdiffeq's heun3.

    Source: Hairer, Nørsett and Wanner 1993, II.1, table 1.1.
    """

    convergence: ClassVar[int] = 3
    tableau: ClassVar[diffrax.ButcherTableau] = diffrax.ButcherTableau(
        a_lower=(np.array([1 / 3]), np.array([0.0, 2 / 3])),
        b_sol=np.array([1 / 4, 0.0, 3 / 4]),
        b_error=np.zeros(3),
        c=np.array([1 / 3, 2 / 3]),
    )


class ThreeEighthsRule(FixedStep):
    """Kutta's 3/8 rule, which torchdiffeq calls rk4.

    Source: Hairer, Nørsett and Wanner 1993, II.1, table 1.2, right.
    """

    tableau: ClassVar[diffrax.ButcherTableau] = diffrax.ButcherTableau(
        a_lower=(np.array([1 / 3]), np.array([-1 / 3, 1.0]), np.array([1.0, -1.0, 1.0])),
        b_sol=np.array([1 / 8, 3 / 8, 3 / 8, 1 / 8]),
        b_error=np.zeros(4),
        c=np.array([1 / 3, 2 / 3, 1.0]),
    )


class ClassicalRungeKutta(FixedStep):
    """The classical Runge-Kutta method (Hairer, Nørsett and Wanner 1993, II.1, table 1.2, left)."""

    tableau: ClassVar[diffrax.ButcherTableau] = diffrax.ButcherTableau(
        a_lower=(np.array([1 / 2]), np.array([0.0, 1 / 2]), np.array([0.0, 0.0, 1.0])),
        b_sol=np.array([1 / 6, 1 / 3, 1 / 3, 1 / 6]),
        b_error=np.zeros(4),
        c=np.array([1 / 2, 1 / 2, 1.0]),
    )
