"""What a trained model says of series: predicted values, and the probability of an outcome."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

MOST_SERIES = 20
"""Series that are printed."""


@dataclass(frozen=True, eq=False)
class SeriesPredictions:
    """Predicted values of N series at times of their own, in the units of the data.

    Args:
      names: of the series: those of their source, or numbers from 0.
      channels: names of the D channels.
      times: float64 [N, T]; padding repeats a series' last time.
      values: float64 [N, T, D].
      lengths: times of each series without padding, int [N].
      outcome: probability of the outcome that the model was trained to tell, float64 [N]; None
        where there is none.
      outcome_name: what it is called.
      nfe: function evaluations of each series' solves, int [N]; None for a model that solves no
        ODE.

    Example:
      >>> import numpy as np
      >>> from jaxode.inference import SeriesPredictions
      >>> times, values = np.array([[0.0, 1.5]]), np.array([[[0.25], [0.5]]])
      >>> found = SeriesPredictions(["a"], ("x",), times, values, np.array([2]))
      >>> print(found)
      a  2 times from 0 to 1.5
      >>> print(found.to_csv(), end="")
      series,time,x
      a,0,0.25
      a,1.5,0.5
    """

    names: Sequence[str]
    channels: tuple[str, ...]
    times: Float[np.ndarray, "N T"]
    values: Float[np.ndarray, "N T D"]
    lengths: Int[np.ndarray, " N"]
    outcome: Float[np.ndarray, " N"] | None = None
    outcome_name: str = "outcome"
    nfe: Int[np.ndarray, " N"] | None = None

    def __len__(self) -> int:
        return len(self.names)

    def __str__(self) -> str:
        return self.table(MOST_SERIES)

    def table(self, most: int | None = None) -> str:
        """One line a series: its name and times, the outcome's probability, evaluations.

        Args:
          most: series to show; all by default.
        """
        width = max(map(len, self.names[:most]), default=0)
        lines = []
        for row, name in enumerate(self.names[:most]):
            length = int(self.lengths[row])
            first, last = (self.times[row, k] for k in (0, length - 1))
            parts = [f"{name:{width}}", f"{length} times from {first:.6g} to {last:.6g}"]
            if self.outcome is not None:
                parts.append(f"{self.outcome_name} {self.outcome[row]:.4f}")
            if self.nfe is not None:
                parts.append(f"{int(self.nfe[row])} evaluations")
            lines.append("  ".join(parts))
        more = len(self) - len(lines)
        return "\n".join(lines + [f"… and {more} more"] * (more > 0))

    def to_csv(self) -> str:
        """A line for each series and time: the values of all channels, and the outcome."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        head = ["series", "time", *self.channels]
        writer.writerow(head if self.outcome is None else [*head, f"p({self.outcome_name})"])
        for row, name in enumerate(self.names):
            last: list[Any] = [] if self.outcome is None else [f"{self.outcome[row]:.6g}"]
            for k in range(int(self.lengths[row])):
                values = (f"{value:.6g}" for value in self.values[row, k].tolist())
                writer.writerow([name, f"{self.times[row, k]:.9g}", *values, *last])
        return text.getvalue()
