"""What the pictures of several claims have in common: axes of tolerances."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jaxode.plots.style import new_panels


def row_of_panels(
    count: int, *, width: float = 4.6, height: float = 3.9
) -> tuple[Any, Sequence[Any]]:
    """A figure with panels beside each other; `width` is that of one panel, in inches."""
    figure, grid = new_panels(1, count, width * count, height)
    return figure, list(grid[0])


def tolerance_axis(axes: Any, tolerances: Sequence[float]) -> None:
    """A tolerance on the x axis, the loosest left: to the right costs more."""
    axes.set_xscale("log")
    room = max(2.0, (max(tolerances) / min(tolerances)) ** 0.08)
    axes.set_xlim(max(tolerances) * room, min(tolerances) / room)
    axes.set_xticks(tolerances, [power(value) for value in tolerances])
    axes.minorticks_off()


def power(value: float) -> str:
    """A tolerance in its usual notation: 1e-3."""
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"
