"""The crossing as a picture: paths on their fields, the augmented plane, and the losses."""

from __future__ import annotations

from typing import Any

import numpy as np

from experiments.dynamics.crossing_cases import Outcome, Study
from experiments.dynamics.crossing_flow import BOUND
from experiments.dynamics.drawing import arrows, label_panel, to_small_png
from experiments.dynamics.text import loss_text, number
from jaxode.plots.style import BLUE, GREY, LIGHT_GREY, ORANGE, new_panels

LIMIT = 1.9
"""The line is drawn from -LIMIT to LIMIT."""

COLOURS = {"exact_flow": GREY, "euler": ORANGE, "augmented": BLUE}


def draw(study: Study) -> bytes:
    """PNG of a study."""
    flow, euler, again, augmented = study.outcomes
    figure, panels = new_panels(2, 3, 13.2, 8.6)
    for panel, each in zip(panels[0], (flow, euler, again), strict=True):
        on_the_line(panel, each)
    projected(panels[1, 0], augmented)
    plane(panels[1, 1], augmented)
    losses(panels[1, 2], study)
    return to_small_png(figure)


def on_the_line(panel: Any, each: Outcome) -> None:
    """Field and paths over time."""
    panel.set(xlim=(-0.03, 1.03), ylim=(-LIMIT, LIMIT))
    times, line = np.linspace(0, 1, 17), np.linspace(-LIMIT, LIMIT, 17)
    slopes = each.case.arrows(each.params, times, line[:, None])[:, :, 0]
    x, y = np.meshgrid(times, line, indexing="ij")
    arrows(panel, x, y, np.ones_like(slopes), slopes)
    lines(panel, each)
    label_panel(panel, f"{each.title}: loss {loss_text(each.facts['loss'])}", "t", "z", "below")


def projected(panel: Any, each: Outcome) -> None:
    """Paths over time, their other dimensions left out."""
    panel.set(xlim=(-0.03, 1.03))
    lines(panel, each)
    label_panel(
        panel,
        f"{each.title}: loss {loss_text(each.facts['loss'])}",
        "t",
        "z, the added dimension left out",
        "below",
    )


def lines(panel: Any, each: Outcome) -> None:
    """The two paths, and their neighbours; a marker at each state that Euler's method steps to."""
    fixed = each.case.solve.step_size is not None
    panel.plot(each.times, each.paths[:, 2:, 0], color=GREY, linewidth=0.8, alpha=0.55)
    for k, (color, start) in enumerate(((BLUE, "−1"), (ORANGE, "1"))):
        path = each.paths[:, k, 0]
        panel.plot(
            each.times,
            path,
            color=color,
            linewidth=2.2,
            marker="o" if fixed else None,
            markersize=5,
            label=f"from {start} to {number(path[-1], 2)}",
        )
    panel.plot([1.0, 1.0], [1.0, -1.0], "x", color="black", markersize=7, zorder=5, label="targets")


def plane(panel: Any, each: Outcome) -> None:
    """Paths of the line and the first added dimension; the field if there is no other dimension."""
    z, a = each.paths[..., 0], each.paths[..., 1]
    reach = 1.08 * max(np.abs(z).max(), LIMIT)
    height = 1.15 * max(np.abs(a).max(), 0.5)
    panel.set(xlim=(-reach, reach), ylim=(-height, height))
    if each.case.extra == 1:
        x, y = np.meshgrid(
            np.linspace(-reach, reach, 17), np.linspace(-height, height, 15), indexing="ij"
        )
        states = np.stack([x.ravel(), y.ravel()], 1)
        slopes = each.case.arrows(each.params, np.array([0.5]), states)[0].reshape(*x.shape, 2)
        arrows(panel, x, y, slopes[..., 0], slopes[..., 1])
        panel.plot([], [], color=LIGHT_GREY, marker=">", linewidth=1.5, label="field at t = 1/2")
    panel.plot(z[:, 2:], a[:, 2:], color=GREY, linewidth=0.8, alpha=0.55)
    for k, color in enumerate((BLUE, ORANGE)):
        panel.plot(z[:, k], a[:, k], color=color, linewidth=2.2)
        panel.plot(z[0, k], a[0, k], "o", color=color, markersize=6, label=("from −1", "from 1")[k])
        panel.annotate(
            "",
            (z[-1, k], a[-1, k]),
            (z[-3, k], a[-3, k]),
            arrowprops={"arrowstyle": "-|>", "color": color, "mutation_scale": 16},
        )
    title = "the same paths, with the added dimension" + (
        "" if each.case.extra == 1 else " (the first)"
    )
    label_panel(panel, title, "z", "a", "below")


def losses(panel: Any, study: Study) -> None:
    """Losses in training, and the bound of exact flows on the line."""
    for each in study.outcomes:
        if each.losses is not None:
            panel.semilogy(
                np.maximum(each.losses, 1e-16),
                color=COLOURS[each.name],
                linewidth=1.8,
                label=each.title,
            )
    panel.axhline(
        BOUND, color="black", linewidth=1, linestyle="--", label="least possible on the line"
    )
    panel.grid(alpha=0.25)
    label_panel(panel, "losses in training", "updates", "mean squared error", "below", 2)
