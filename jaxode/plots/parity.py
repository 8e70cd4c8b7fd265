"""Errors of a parity check: a bar for each layer and each parameter, and the limits."""

from __future__ import annotations

import math
from collections.abc import Sequence

from jaxode.plots.style import BLUE, GREY, RED, label_axes, new_panels, to_png

FLOOR, CEILING = 1e-18, 10.0
"""Ends of the axis; an error of zero has no bar."""

MOST_BARS = 60
"""Of one panel; of more, the largest errors are drawn."""

Bars = Sequence[tuple[str, float]]
"""Names and errors."""


def draw(panels: Sequence[tuple[str, Bars, float]], title: str) -> bytes:
    """PNG of errors, first layer on top.

    Args:
      panels: what each shows: its title, the bars, and the limit up to which an error passes.
      title: above them.
    """
    chosen = [(name, _largest(bars), limit) for name, bars, limit in panels]
    tallest = max((len(bars) for _, bars, _ in chosen), default=1)
    figure, (axes,) = new_panels(1, len(chosen), 5.2 * len(chosen), 1.4 + 0.22 * max(tallest, 3))
    for panel, (name, bars, limit) in zip(axes, chosen, strict=True):
        sizes = [min(max(e, FLOOR), CEILING) if math.isfinite(e) else CEILING for _, e in bars]
        colours = [BLUE if error <= limit else RED for _, error in bars]
        panel.barh(range(len(bars)), [s - FLOOR for s in sizes], 0.7, FLOOR, color=colours)
        panel.axvline(limit, color=GREY, linewidth=1.2, linestyle="--", label="limit")
        scales = {"xscale": "log", "xlim": (FLOOR, CEILING)}
        label_axes(panel, name, "relative error", "", legend=False, **scales)
        panel.set_axisbelow(True)
        panel.set_ylim(max(len(bars), 1) - 0.5, -0.5)
        panel.set_yticks(range(len(bars)), [label for label, _ in bars], fontsize=7)
    figure.suptitle(title, fontsize=11)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", frameon=False)
    return to_png(figure)


def _largest(bars: Bars) -> Bars:
    if len(bars) <= MOST_BARS:
        return bars
    least = sorted((error for _, error in bars), reverse=True)[MOST_BARS - 1]
    return [bar for bar in bars if bar[1] >= least][:MOST_BARS]
