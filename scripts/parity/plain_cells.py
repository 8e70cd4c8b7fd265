"""The cells of plain torchdiffeq: every solver as a user calls it, without options for our sake."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

ADAPTIVE = ("dopri5", "bosh3", "dopri8", "fehlberg2", "adaptive_heun")
FIXED = ("euler", "midpoint", "heun2", "heun3", "rk4", "explicit_adams", "implicit_adams")
"""As torchdiffeq 0.2.5 names them; its heun2 is heun here."""

TOLERANCES = (1e-3, 1e-5, 1e-7)
STEP_SIZES = (0.07, 1 / 49)
"""Neither divides the intervals; of the second torchdiffeq takes 50 steps over [0, 1]."""

GRADIENTS = ("direct", "adjoint", "adjoint seminorm")
STATES = ("tensor", "tuple")
TIMES = {
    "one": {"rising": (0.0, 1.0), "falling": (1.0, 0.0)},
    "many": {"rising": (0.0, 0.3, 0.31, 1.2), "falling": (1.2, 0.31, 0.3, 0.0)},
}


@dataclass(frozen=True)
class PlainCell:
    """One comparison.

    Attributes:
      solver: torchdiffeq's name.
      gradient: odeint's ("direct"), odeint_adjoint's, or that with the seminorm.
      state: one tensor or a tuple of two.
      times: one output time or many.
      direction: of the times.
      setting: both tolerances, or the step size of a fixed grid.
    """

    solver: str
    gradient: str
    state: str
    times: str
    direction: str
    setting: float

    @property
    def adaptive(self) -> bool:
        """Whether the step size adapts."""
        return self.solver in ADAPTIVE

    @property
    def adjoint(self) -> bool:
        """Whether the adjoint ODE is solved."""
        return self.gradient != "direct"

    @property
    def ts(self) -> tuple[float, ...]:
        """The times, the start first."""
        return TIMES[self.times][self.direction]

    @property
    def name(self) -> str:
        """Unique."""
        words = (self.solver, self.gradient, self.state, self.times, self.direction)
        return ", ".join([*words, f"{self.setting:.4g}"])


def plain_cells() -> Iterator[PlainCell]:
    """All cells; those that differ in direction alone, which share a program, are neighbours."""
    for solvers, settings in ((ADAPTIVE, TOLERANCES), (FIXED, STEP_SIZES)):
        for solver, setting, gradient, state, times, direction in itertools.product(
            solvers, settings, GRADIENTS, STATES, TIMES, ("rising", "falling")
        ):
            yield PlainCell(solver, gradient, state, times, direction, setting)
