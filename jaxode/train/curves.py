"""The picture of a run: loss, accuracies and function evaluations over the epochs."""

from __future__ import annotations

import io
import math
from typing import Any

from jaxode.tasks import Task

BLUE, ORANGE, GREY = "#2563a8", "#d9731a", "#6b7280"


def draw(history: list[dict[str, Any]], title: str, task: Task) -> bytes:
    """PNG of the curves of a history of at least one epoch; the third panel only for models that
    solve an ODE.
    """
    from matplotlib.backends.backend_agg import (
        FigureCanvasAgg,
    )  # slow to import, and needs no screen
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    epochs = [record["epoch"] for record in history]
    solves = history[-1]["nfe_forward"] is not None
    count = 1 + (task.curve is not None) + solves
    figure = Figure(figsize=(4.6 + 4 * (count - 1), 3.7), layout="constrained")
    panels = list(figure.subplots(1, count, squeeze=False)[0])

    def curve(
        panel: Any, name: str, label: str, color: str, scale: float = 1.0, style: str = "-"
    ) -> None:
        values = [
            scale * record[name] if record[name] is not None else math.nan for record in history
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

    def decorate(panel: Any, text: str, legend: bool = True) -> None:
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
    decorate(panels[0], task.loss_title)
    if task.curve is not None:
        name, text, scale = task.curve
        curve(panels[1], f"train_{name}", "training examples", BLUE, scale)
        curve(panels[1], f"test_{name}", "test examples", ORANGE, scale)
        decorate(panels[1], text)
    if solves:
        curve(panels[-1], "nfe_forward", "forward, test examples", ORANGE)
        curve(panels[-1], "nfe_forward_train", "forward, training steps", GREY, style="--")
        decorate(panels[-1], "function evaluations a solve")
        low, high = panels[-1].get_ylim()
        panels[-1].set_ylim(min(low, high - 4), high + 1)
    figure.suptitle(title, fontsize=12)
    FigureCanvasAgg(figure)
    target = io.BytesIO()
    figure.savefig(target, format="png", dpi=110)
    return target.getvalue()
