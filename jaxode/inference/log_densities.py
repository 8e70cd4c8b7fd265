"""What a trained flow says of points."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

MOST_ROWS = 20
"""Points that are printed."""


@dataclass(frozen=True, eq=False)
class LogDensities:
    """Log-densities of N points.

    Args:
      names: of the points: their rows, from 0, behind the file's name where there are several.
      values: in nats, float64 [N].
      nfe: function evaluations of each point's solve, int [N].

    Example:
      >>> import numpy as np
      >>> from jaxode.inference.log_densities import LogDensities
      >>> print(LogDensities(["0", "1"], np.array([-1.5, -20.25]), np.array([26, 26])))
      0  -1.5000
      1  -20.2500
      mean -10.8750 nats of 2 points, 26.0 evaluations a solve
    """

    names: Sequence[str]
    values: Float[np.ndarray, " N"]
    nfe: Int[np.ndarray, " N"]

    def __str__(self) -> str:
        return self.table(MOST_ROWS)

    def table(self, most: int | None = None) -> str:
        """One line a point, and their mean.

        Args:
          most: points to show; all by default.
        """
        count = len(self.values)
        shown = list(zip(self.names, self.values.tolist(), strict=True))[:most]
        width = max((len(name) for name, _ in shown), default=0)
        lines = [f"{name:{width}}  {value:.4f}" for name, value in shown]
        more = [f"… and {count - len(shown)} more"] if count > len(shown) else []
        mean = f"mean {self.values.mean():.4f} nats of {count:,} points"
        return "\n".join([*lines, *more, f"{mean}, {self.nfe.mean():.1f} evaluations a solve"])

    def to_csv(self) -> str:
        """Point, log-density and evaluations, as CSV with a header."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["point", "log_density", "nfe"])
        for name, value, nfe in zip(self.names, self.values, self.nfe, strict=True):
            writer.writerow([name, f"{value:.9g}", int(nfe)])
        return text.getvalue()
