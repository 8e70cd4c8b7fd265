"""What the pictures of all claims have in common."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, RED, PURPLE, GREY = (
    "#2563a8",
    "#d9731a",
    "#2f8f4e",
    "#c0392b",
    "#7c4dba",
    "#6b7280",
)
COLOURS = (BLUE, ORANGE, GREEN, PURPLE, RED, GREY)


def sheet(panels: int, *, width: float = 4.6, height: float = 3.9) -> tuple[Figure, Sequence[Any]]:
    """A figure of panels beside each other."""
    figure = Figure(figsize=(width * panels, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, list(figure.subplots(1, panels, squeeze=False)[0])


def dress(axes: Any, title: str, x: str, y: str, *, legend: bool = True, **scales: Any) -> None:
    """Title, names of the axes, grid and legend of a panel."""
    axes.set(xlabel=x, ylabel=y, **scales)
    axes.set_title(title, fontsize=10.5, loc="left")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    if legend:
        axes.legend(frameon=False, fontsize=8)


def decades(axes: Any, tolerances: Sequence[float]) -> None:
    """A tolerance on the x axis, the loosest left: to the right costs more."""
    axes.set_xscale("log")
    room = max(2.0, (max(tolerances) / min(tolerances)) ** 0.08)
    axes.set_xlim(max(tolerances) * room, min(tolerances) / room)
    axes.set_xticks(tolerances, [power(value) for value in tolerances])
    axes.minorticks_off()


def power(value: float) -> str:
    """A tolerance as people write it: 1e-3."""
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"


def png(figure: Figure) -> bytes:
    """The figure as a file."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=100)
    return stream.getvalue()
