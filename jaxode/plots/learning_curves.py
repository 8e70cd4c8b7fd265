"""Learning curves of a run: loss, the task's metric and NFE over the epochs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jaxode.plots.style import BLUE, GREY, ORANGE, new_figure, to_png

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw(
    history: Sequence[Mapping[str, Any]],
    title: str,
    loss_title: str = "loss",
    metric: tuple[str, str, float] | None = None,
) -> bytes:
    """PNG of the learning curves of a history; with a panel of NFE for models that solve an ODE.

    Args:
      history: records of at least one epoch.
      title: above the figure.
      loss_title: title of the loss.
      metric: name of a metric without its split's prefix, title and factor; None for no panel.

    Returns:
      The bytes of a PNG file.
    """
    from matplotlib.ticker import MaxNLocator

    epochs = [record["epoch"] for record in history]
    solves = history[-1]["nfe_forward"] is not None
    count = 1 + (metric is not None) + solves
    figure = new_figure(4.6 + 4 * (count - 1), 3.7)
    panels = list(figure.subplots(1, count, squeeze=False)[0])

    def curve(
        panel: Axes, name: str, label: str, color: str, scale: float = 1.0, style: str = "-"
    ) -> None:
        values = [
            scale * record[name] if record.get(name) is not None else math.nan for record in history
        ]
        panel.plot(
            epochs,
            values,
            style,
            color=color,
            label=label,
            linewidth=1.8,
            marker="o",
            markersize=3.5,
        )

    def decorate(panel: Axes, text: str, legend: bool = True) -> None:
        panel.set_title(text, fontsize=11, loc="left")
        panel.set_xlabel("epoch")
        panel.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1))
        panel.grid(alpha=0.25)
        panel.spines[["top", "right"]].set_visible(False)
        panel.margins(x=0.04)
        if legend:
            panel.legend(frameon=False, fontsize=9)

    curve(panels[0], "loss", "training steps", GREY, style="--")
    curve(panels[0], "test_loss", "test examples", ORANGE)
    decorate(panels[0], loss_title)
    if metric is not None:
        name, text, scale = metric
        curve(panels[1], f"train_{name}", "training examples", BLUE, scale)
        curve(panels[1], f"test_{name}", "test examples", ORANGE, scale)
        decorate(panels[1], text)
    if solves:
        curve(panels[-1], "nfe_forward", "forward, test examples", ORANGE)
        curve(panels[-1], "nfe_forward_train", "forward, training steps", GREY, style="--")
        if any(record.get("nfe_backward") is not None for record in history):
            curve(panels[-1], "nfe_backward", "backward, training steps", BLUE, style=":")
        decorate(panels[-1], "function evaluations a solve")
        low, high = panels[-1].get_ylim()
        panels[-1].set_ylim(min(low, high - 4), high + 1)
    figure.suptitle(title, fontsize=12)
    return to_png(figure)
