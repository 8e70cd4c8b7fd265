"""The parity map as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.patches import Rectangle

from jaxode.plots.style import new_panels, to_png
from scripts.parity.measure import FAIL, Row

FLOOR, CEILING = 1e-17, 1e-1
"""Ends of the colour scale; an error of exactly zero is drawn as the floor."""

SCALE, COLOURS = LogNorm(FLOOR, CEILING, clip=True), "viridis"


def _place(row: Row) -> tuple[str, str]:
    """Row and column of a cell in the picture."""
    if not row.solver:
        return f"{row.subject}", row.dtype
    stepping = "" if row.stepping == "torchdiffeq" else f", {row.stepping} steps"
    size = "" if row.tolerance is None else f"{row.tolerance:g}"
    return (
        f"{row.subject}: {row.solver}, {row.gradient}{stepping}",
        f"{size} {'f32' if row.dtype == 'float32' else ''}",
    )


def heat_map(rows: Sequence[Row], title: str) -> bytes:
    """A PNG of the larger error of every measured cell; a failed one is crossed out."""
    measured = [row for row in rows if row.output_error is not None]
    parts = [
        (
            "parts, models, training",
            [row for row in measured if not row.solver or row.nfe_jax is None],
        ),
        (
            "ODE blocks and ODENets: step size or tolerance",
            [r for r in measured if r.solver and r.nfe_jax is not None],
        ),
    ]
    parts = [(title, part) for title, part in parts if part]
    tallest = max(len({_place(row)[0] for row in part}) for _, part in parts)
    widths = (1, 4)[: len(parts)]
    figure, (axes,) = new_panels(1, len(parts), 17, 1.5 + 0.17 * tallest, width_ratios=widths)
    for axis, (name, part) in zip(axes, parts, strict=True):
        _heat(axis, part)
        axis.set_title(name, fontsize=10)
    shade = ScalarMappable(SCALE, COLOURS)
    figure.colorbar(
        shade,
        ax=list(axes),
        label="largest global relative error, jaxode against PyTorch",
        shrink=0.6,
    )
    figure.suptitle(title)
    return to_png(figure)


def _heat(axis: Any, rows: Sequence[Row]) -> None:
    names = list(dict.fromkeys(_place(row)[0] for row in rows))
    columns = list(dict.fromkeys(_place(row)[1] for row in sorted(rows, key=_column_order)))
    for row in rows:
        name, column = _place(row)
        x, y = columns.index(column), names.index(name)
        error = max(row.output_error or 0.0, row.gradient_error or 0.0)
        colour = colormaps[COLOURS](SCALE(max(error, FLOOR)))
        axis.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=colour, edgecolor="white"))
        text = f"{error:.0e}".replace("e-0", "e-") + (" ✗" if row.status == FAIL else "")
        axis.text(
            x,
            y,
            text,
            ha="center",
            va="center",
            fontsize=6,
            color="black" if error > 1e-9 else "white",
        )
    axis.set(xlim=(-0.5, len(columns) - 0.5), ylim=(len(names) - 0.5, -0.5))
    axis.set_xticks(range(len(columns)), columns, fontsize=7, rotation=60)
    axis.set_yticks(range(len(names)), names, fontsize=7)


def _column_order(row: Row) -> tuple[bool, float]:
    return row.dtype == "float32", -(row.tolerance or 0.0)
