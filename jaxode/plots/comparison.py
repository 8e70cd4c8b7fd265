"""Runs side by side: learning curves of every run, one colour a group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jaxode.plots.style import new_figure, to_png

Curves = Sequence[Sequence[dict[str, Any]]]
"""Histories of the runs of one group."""


def draw(groups: Sequence[tuple[str, Curves]], metric: str, scale: float, title: str) -> bytes:
    """PNG of a metric over the epochs, and where it is known over training time.

    Args:
      groups: label and histories of each group.
      metric: name of a number in every record of the histories.
      scale: factor of the metric, 100 for per cent.
      title: of the metric.
    """
    from matplotlib import colormaps
    from matplotlib.ticker import MaxNLocator

    figure = new_figure(9.6, 3.9 + 0.22 * len(groups))
    by_epoch, by_time = figure.subplots(1, 2, sharey=True)
    colours = colormaps["tab10"]
    for number, (label, histories) in enumerate(groups):
        for index, history in enumerate(histories):
            values = [scale * record[metric] for record in history]
            minutes, total = [], 0.0
            for record in history:
                total += record["train_seconds"] / 60
                minutes.append(total)
            style = {
                "color": colours(number % 10),
                "label": label if index == 0 else None,
                "linewidth": 1.6,
                "marker": "o",
                "markersize": 3,
            }
            by_epoch.plot([record["epoch"] for record in history], values, **style)
            by_time.plot(minutes, values, **style)
    for panel, name in ((by_epoch, "epoch"), (by_time, "minutes of training")):
        panel.set_xlabel(name)
        panel.grid(alpha=0.25)
        panel.spines[["top", "right"]].set_visible(False)
    by_epoch.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1))
    by_epoch.set_title(title, fontsize=11, loc="left")
    figure.legend(
        *by_epoch.get_legend_handles_labels(), loc="outside lower center", frameon=False, fontsize=9
    )
    return to_png(figure)
