"""The style of all figures: colours, a figure that needs no screen, and its PNG."""

from __future__ import annotations

import io
from typing import Any

BLUE, ORANGE, GREY = "#2563a8", "#d9731a", "#6b7280"


def new_figure(width: float, height: float) -> Any:
    """An empty Matplotlib figure, in inches. Matplotlib is imported here, for it is slow."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)  # draws in memory
    return figure


def to_png(figure: Any, dpi: int = 110) -> bytes:
    """The bytes of a PNG file."""
    target = io.BytesIO()
    figure.savefig(target, format="png", dpi=dpi)
    return target.getvalue()
