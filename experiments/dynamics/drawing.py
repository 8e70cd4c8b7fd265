"""What the pictures of the small experiments have in common."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from jaxode.plots.style import BLUE, GREY, ORANGE

GREEN, RED, PALE = "#2e8b57", "#c0392b", "#c3c8d1"
SHADES = 96
"""Colours of a picture, those of smoothed edges counted."""

COLOURS = (BLUE, ORANGE, GREEN, RED, GREY)


def sheet(rows: int, columns: int, size: tuple[float, float]) -> tuple[Figure, Any]:
    """A figure and its panels [rows, columns]."""
    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def decorate(
    panel: Any, title: str, x: str, y: str, legend: str | None = None, columns: int = 3
) -> None:
    """Title and labels; a legend at that place if one is given, or "below" in so many columns."""
    panel.set_title(title, fontsize=11, loc="left")
    panel.set_xlabel(x)
    panel.set_ylabel(y)
    panel.spines[["top", "right"]].set_visible(False)
    if legend == "below":
        place = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.14), "ncols": columns}
        panel.legend(**place, fontsize=9, frameon=False, handlelength=1.6, columnspacing=1.2)
    elif legend is not None:
        panel.legend(loc=legend, fontsize=9, framealpha=0.9, edgecolor="none")


def arrows(
    panel: Any, x: np.ndarray, y: np.ndarray, along_x: np.ndarray, along_y: np.ndarray
) -> None:
    """Directions of a field at points (x, y), all of one length, drawn as the panel's curves."""
    length = np.maximum(np.hypot(along_x, along_y), 1e-12)
    panel.quiver(
        x,
        y,
        along_x / length,
        along_y / length,
        color=PALE,
        angles="xy",
        pivot="mid",
        scale=30,
        width=0.0035,
        zorder=0,
    )


def png(figure: Figure) -> bytes:
    """The figure as a file's contents, in few enough colours to be small."""
    canvas, target = FigureCanvasAgg(figure), io.BytesIO()
    figure.set_dpi(100)
    canvas.draw()
    Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3]).quantize(SHADES).save(
        target, "png", optimize=True
    )
    return target.getvalue()
