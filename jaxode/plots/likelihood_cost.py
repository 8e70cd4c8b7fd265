"""Log-likelihood against function evaluations, over tolerances."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from jaxode.plots.style import BLUE, label_axes, new_panels, to_png


class Cost(NamedTuple):
    """A log-likelihood and what it cost."""

    tolerance: float
    """Relative and absolute, of a step."""
    nfe: float
    """Function evaluations of a solve."""
    nats: float
    """Mean log-likelihood."""


def draw(costs: Sequence[Cost], title: str) -> bytes:
    """A PNG: the log-likelihood, and its distance to that of the smallest tolerance.

    Args:
      costs: at two or more tolerances, falling.
      title: above the figure.

    Example:
      >>> from jaxode.plots.likelihood_cost import Cost, draw
      >>> draw([Cost(1e-1, 14, -2.9), Cost(1e-2, 26, -2.8), Cost(1e-3, 38, -2.81)], "t")[1:4]
      b'PNG'
    """
    figure, panels = new_panels(1, 2, 8.4, 3.4)
    left, right = panels[0]
    nfe = [cost.nfe for cost in costs]
    left.plot(nfe, [cost.nats for cost in costs], "o-", color=BLUE)
    best, others = costs[-1], costs[:-1]
    distances = [abs(cost.nats - best.nats) for cost in others]
    right.plot(nfe[:-1], distances, "o-", color=BLUE)
    for axes, shown, heights in (
        (left, costs, [cost.nats for cost in costs]),
        (right, others, distances),
    ):
        for cost, height in zip(shown, heights, strict=True):
            axes.annotate(
                f"{cost.tolerance:.0e}", (cost.nfe, height), (3, 4),
                textcoords="offset points", fontsize=8,
            )  # fmt: skip
    x = "function evaluations of a solve"
    label_axes(left, "log-likelihood, by tolerance", x, "nats", legend=False)
    name = f"distance to that at {best.tolerance:.0e}"
    label_axes(right, name, x, "nats", legend=False, yscale="log")
    figure.suptitle(title, fontsize=11)
    return to_png(figure)
