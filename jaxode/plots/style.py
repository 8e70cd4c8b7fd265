"""The style of all figures: colours, panels that need no screen, their labels, and PNG."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

BLUE, ORANGE, GREEN, PURPLE, RED = "#2563a8", "#d9731a", "#2f8f4e", "#7c4dba", "#c0392b"
GREY, LIGHT_GREY = "#6b7280", "#c3c8d1"

COLOURS = (BLUE, ORANGE, GREEN, PURPLE, RED, GREY)
"""Of curves, in this order."""


def new_figure(width: float, height: float) -> Any:
    """An empty Matplotlib figure, in inches. Matplotlib is imported here, for it is slow."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)  # draws in memory
    return figure


def new_panels(rows: int, columns: int, width: float, height: float, **options: Any) -> Any:
    """A figure in inches, and its panels as an array [rows, columns].

    Args:
      rows: of panels.
      columns: of panels.
      width: of the figure, in inches.
      height: of the figure, in inches.
      **options: of `matplotlib.figure.Figure.subplots`.
    """
    figure = new_figure(width, height)
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def label_axes(
    axes: Any, title: str, x: str, y: str, *, grid: bool = True, legend: bool = True, **scales: Any
) -> None:
    """Write a panel's title and the names of its axes.

    Args:
      axes: the panel.
      title: above it, left.
      x: name of the horizontal axis.
      y: name of the vertical axis.
      grid: whether lines of a grid are drawn.
      legend: whether the labels of the curves are shown where there is room.
      **scales: other properties of the axes, `xscale="log"` say.
    """
    axes.set(xlabel=x, ylabel=y, **scales)
    axes.set_title(title, fontsize=11, loc="left")
    if grid:
        axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    if legend:
        axes.legend(frameon=False, fontsize=8)


def to_png(figure: Any, dpi: int = 110, shades: int | None = None) -> bytes:
    """The bytes of a PNG file.

    Args:
      figure: what to draw.
      dpi: dots per inch.
      shades: the number of colours in the file, at most 256; with it the file is smaller by half.
    """
    target = io.BytesIO()
    if shades is None:
        figure.savefig(target, format="png", dpi=dpi)
        return target.getvalue()
    from PIL import Image

    figure.set_dpi(dpi)
    figure.canvas.draw()
    picture = Image.fromarray(np.asarray(figure.canvas.buffer_rgba())[..., :3])
    picture.quantize(shades).save(target, "png", optimize=True)
    return target.getvalue()
