"""The benchmark as a picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from jaxode.plots.style import BLUE, GREY, ORANGE, label_axes, new_figure, to_png
from scripts.bench.cases import SAME
from scripts.bench.rows import Row

COLOURS = {"jaxode": BLUE, "PyTorch": ORANGE}


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
    figure = new_figure(6.5 * max(1, len(panels)), 6)
    for number, (draw, part) in enumerate(panels, 1):
        draw(figure.add_subplot(1, len(panels), number), part)
    return to_png(figure, dpi=100)


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
    """Curves of a column by another, one for each side and kind of work."""
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
        colour = COLOURS.get(points[0].framework, GREY)
        axis.plot(
            [getattr(p, x) for p in points],
            [getattr(p, y) for p in points],
            style,
            color=colour,
            label=label,
        )


def _precision(axis: Any, rows: Sequence[Row]) -> None:
    _lines(axis, rows, "error", "ms_median")
    for row in rows:
        if row.framework == "jaxode":
            axis.annotate(f"{row.tolerance:g}", (row.error, row.ms_median), fontsize=7)
    title = "Work and precision, one ODE block"
    x, y = "relative error of the final state", "ms a solve"
    label_axes(axis, title, x, y, xscale="log", yscale="log")


def _sweep(x: str, name: str, y: str, quantity: str) -> Callable[..., None]:
    def draw(axis: Any, rows: Sequence[Row]) -> None:
        _lines(axis, rows, x, y)
        title = f"{quantity.capitalize()} by {name}"
        label_axes(axis, title, name, quantity, xscale="log", yscale="log")

    return draw


def _ratios(axis: Any, rows: Sequence[Row]) -> None:
    shown = list(reversed(rows))
    for place, row in enumerate(shown):
        axis.plot([row.ratio_min, row.ratio_max], [place, place], color=GREY)
        axis.plot([row.ratio_median], [place], "o", color=BLUE)
    names = [f"{row.case}: {row.framework} {row.variant}".strip() for row in shown]
    axis.set_yticks(range(len(shown)), names, fontsize=5 if len(shown) > 30 else 7)
    axis.axvline(1.0, color="black", linewidth=0.8)
    x = "time over jaxode's (median, ends)"
    label_axes(axis, "Ratios", x, "", legend=False, xscale="log")
