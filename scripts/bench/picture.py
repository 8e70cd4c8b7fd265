"""The benchmark as a picture."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

from matplotlib.figure import Figure

from scripts.bench.cases import SAME
from scripts.bench.rows import Row

COLOURS = {"jaxode": "tab:blue", "PyTorch": "tab:orange"}


def picture(rows: Sequence[Row]) -> bytes:
    """A PNG of what was measured: work and precision, the sweeps, and all ratios."""
    timed = [row for row in rows if row.ms_median is not None]
    panels: list[tuple[Callable[..., None], list[Row]]] = [
        (_precision, [row for row in timed if row.error]),
        (
            _sweep("batch", "images in a batch", "images_per_second", "images a second"),
            _swept(timed, "batch"),
        ),
        (_sweep("tolerance", "tolerance", "ms_median", "ms a step"), _swept(timed, "tolerance")),
        (_ratios, [row for row in timed if row.ratio_median is not None]),
    ]
    panels = [(draw, part) for draw, part in panels if part]
    figure = Figure(figsize=(6.5 * max(1, len(panels)), 6), layout="constrained")
    for number, (draw, part) in enumerate(panels, 1):
        draw(figure.add_subplot(1, len(panels), number), part)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=100)
    return stream.getvalue()


def _swept(rows: Sequence[Row], name: str) -> list[Row]:
    """Rows of a sweep, and those of the main cases that lie on it, if it was made."""
    swept = [row for row in rows if row.group == name]
    kinds = {(row.gradient, row.work) for row in swept}
    main = [
        r for r in rows if r.group in ("gradient", "inference") and (r.gradient, r.work) in kinds
    ]
    return [row for row in [*swept, *main] if row.variant in ("", SAME)] if swept else []


def _label(row: Row) -> str:
    return ", ".join(word for word in (row.framework, row.gradient or row.work) if word)


def _lines(axis: Any, rows: Sequence[Row], x: str, y: str) -> None:
    styles = dict(
        zip(
            dict.fromkeys((row.gradient, row.work) for row in rows),
            ("-o", "--s", ":^"),
            strict=False,
        )
    )
    for label in dict.fromkeys(_label(row) for row in rows):
        points = sorted(
            (row for row in rows if _label(row) == label), key=lambda row: getattr(row, x)
        )
        style = styles.get((points[0].gradient, points[0].work), "-")
        colour = COLOURS.get(points[0].framework, "gray")
        axis.plot(
            [getattr(p, x) for p in points],
            [getattr(p, y) for p in points],
            style,
            color=colour,
            label=label,
        )
    axis.set(xscale="log", yscale="log")
    axis.grid(True, which="both", alpha=0.3)
    axis.legend(fontsize=8)


def _precision(axis: Any, rows: Sequence[Row]) -> None:
    _lines(axis, rows, "error", "ms_median")
    for row in rows:
        if row.framework == "jaxode":
            axis.annotate(f"{row.tolerance:g}", (row.error, row.ms_median), fontsize=7)
    axis.set(
        xlabel="relative error of the final state",
        ylabel="ms a solve",
        title="Work and precision, one ODE block",
    )


def _sweep(x: str, name: str, y: str, quantity: str) -> Callable[..., None]:
    def draw(axis: Any, rows: Sequence[Row]) -> None:
        _lines(axis, rows, x, y)
        axis.set(xlabel=name, ylabel=quantity, title=f"{quantity.capitalize()} by {name}")

    return draw


def _ratios(axis: Any, rows: Sequence[Row]) -> None:
    shown = list(reversed(rows))
    for place, row in enumerate(shown):
        axis.plot([row.ratio_min, row.ratio_max], [place, place], color="tab:gray")
        axis.plot([row.ratio_median], [place], "o", color="tab:blue")
    names = [f"{row.case}: {row.framework} {row.variant}".strip() for row in shown]
    axis.set_yticks(range(len(shown)), names, fontsize=5 if len(shown) > 30 else 7)
    axis.axvline(1.0, color="black", linewidth=0.8)
    axis.set(xscale="log", xlabel="time over jaxode's (median, ends)", title="Ratios")
    axis.grid(True, which="both", axis="x", alpha=0.3)
