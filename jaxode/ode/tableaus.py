"""Fixed-step Runge-Kutta methods that torchdiffeq offers and Diffrax lacks, as Diffrax solvers."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import diffrax
import numpy as np


class ThreeEighthsRule(diffrax.AbstractERK):
    """Kutta's 3/8 rule, order 4: what torchdiffeq calls rk4 (Hairer, Nørsett and Wanner 1993, table II.1.2, right).

    It has no embedded method, so its error estimate is identically zero: use it with fixed steps only.
    """

    tableau: ClassVar[diffrax.ButcherTableau] = diffrax.ButcherTableau(
        a_lower=(np.array([1 / 3]), np.array([-1 / 3, 1.0]), np.array([1.0, -1.0, 1.0])),
        b_sol=np.array([1 / 8, 3 / 8, 3 / 8, 1 / 8]),
        b_error=np.zeros(4),
        c=np.array([1 / 3, 2 / 3, 1.0]),
    )
    interpolation_cls: ClassVar[Callable[..., diffrax.AbstractLocalInterpolation]] = (
        diffrax.ThirdOrderHermitePolynomialInterpolation.from_k
    )

    def order(self, terms: object) -> int:
        """Order of convergence, 4."""
        del terms
        return 4


class ClassicalRungeKutta(diffrax.AbstractERK):
    """The classical Runge-Kutta method, order 4 (Hairer, Nørsett and Wanner 1993, table II.1.2, left).

    It has no embedded method, so its error estimate is identically zero: use it with fixed steps only.
    """

    tableau: ClassVar[diffrax.ButcherTableau] = diffrax.ButcherTableau(
        a_lower=(np.array([1 / 2]), np.array([0.0, 1 / 2]), np.array([0.0, 0.0, 1.0])),
        b_sol=np.array([1 / 6, 1 / 3, 1 / 3, 1 / 6]),
        b_error=np.zeros(4),
        c=np.array([1 / 2, 1 / 2, 1.0]),
    )
    interpolation_cls: ClassVar[Callable[..., diffrax.AbstractLocalInterpolation]] = (
        diffrax.ThirdOrderHermitePolynomialInterpolation.from_k
    )

    def order(self, terms: object) -> int:
        """Order of convergence, 4."""
        del terms
        return 4
