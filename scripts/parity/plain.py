"""A cell of plain torchdiffeq measured and judged, and the cells as a document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxode.parity.bounds import BOUNDS
from jaxode.plots.tables import markdown_table
from scripts.parity.measure import FAIL, PASS, relative
from scripts.parity.plain_cells import PlainCell
from scripts.parity.plain_sides import ours, theirs

ROUNDING = 1e-14
"""Of an error estimate, as a share of the state: a few roundings of each k_i."""


def most_time_error(cell: PlainCell) -> float:
    """How far rounding may move the times of a solve's evaluations.

    A step's size follows from an error estimate of the size of the tolerance, whose relative
    rounding is therefore the larger the tighter the tolerance. Steps that differ for another reason
    differ by a share of their length.
    """
    return ROUNDING / cell.setting if cell.adaptive else 10 * ROUNDING


@dataclass(frozen=True)
class PlainRow:
    """A measured cell, with evaluations of both sides.

    `times_error` is the most that the times of forward evaluations differ, in order.
    """

    name: str
    solver: str
    gradient: str
    output_error: float
    gradient_error: float
    forward: int
    forward_torch: int
    backward: int | None
    backward_torch: int | None
    times_error: float | None
    status: str
    reason: str = ""


def measure(cell: PlainCell) -> PlainRow:
    """Run a cell on both sides. Needs x64 to be on."""
    a, b = ours(cell), theirs(cell)
    output = relative(a.outputs, b.outputs)
    gradient = max(relative([x], [y]) for x, y in zip(a.gradients, b.gradients, strict=True))
    times = float(np.abs(a.times - b.times).max()) if len(a.times) == len(b.times) else None
    kind = "backsolve" if cell.adjoint else "exact"
    problems = []
    if output > (limit := BOUNDS["float64", "output"].limit):
        problems.append(f"output {output:.1e} above {limit:g}")
    if gradient > (limit := BOUNDS["float64", kind].limit):
        problems.append(f"gradient {gradient:.1e} above {limit:g}")
    if (a.forward, a.backward) != (b.forward, b.backward):
        problems.append("evaluations differ")
    if times is None or times > most_time_error(cell):
        problems.append("times of evaluations differ")
    return PlainRow(
        cell.name, cell.solver, cell.gradient, output, gradient,
        a.forward, b.forward, a.backward, b.backward, times,
        FAIL if problems else PASS, "; ".join(problems),
    )  # fmt: skip


def summary(rows: Sequence[PlainRow]) -> str:
    """How many cells ended in which way."""
    failed = sum(row.status == FAIL for row in rows)
    return f"{len(rows) - failed} cells pass, {failed} fail"


def markdown(rows: Sequence[PlainRow], facts: str) -> str:
    """Largest errors by solver and gradient, then every cell that fails."""
    lines = ["# Plain torchdiffeq", "", f"{summary(rows)}. {facts}.", ""]
    lines += [
        "Every solver of torchdiffeq 0.2.5 as a user calls it, in float64: a tensor and a tuple",
        "of two, one output time and several, rising and falling; adaptive methods at tolerances",
        "1e-3, 1e-5 and 1e-7, fixed grids of step 0.07 and 1/49. Errors are relative,",
        "‖a − b‖₂ / ‖b‖₂, the gradient's the largest of start, each parameter and times. Forward",
        "and backward evaluations must be equal, and the times of all forward evaluations, those",
        "of rejected steps among them.",
        "",
    ]
    head = ("solver", "gradient", "cells", "output error", "gradient error", "times", "evaluations")
    body: list[tuple[Any, ...]] = []
    for solver in dict.fromkeys(row.solver for row in rows):
        for gradient in dict.fromkeys(row.gradient for row in rows):
            group = [row for row in rows if (row.solver, row.gradient) == (solver, gradient)]
            if group:
                body.append(_summed(solver, gradient, group))
    lines += [markdown_table(head, body), ""]
    failed = [(row.name, row.reason) for row in rows if row.status == FAIL]
    if failed:
        lines += ["## Failing", "", markdown_table(("cell", "reason"), failed), ""]
    return "\n".join(lines)


def _summed(solver: str, gradient: str, group: Sequence[PlainRow]) -> tuple[str, ...]:
    times = [row.times_error for row in group if row.times_error is not None]
    return (
        solver,
        gradient,
        str(len(group)),
        f"{max(row.output_error for row in group):.1e}",
        f"{max(row.gradient_error for row in group):.1e}",
        f"{max(times):.1e}" if times else "",
        f"{sum(row.forward + (row.backward or 0) for row in group):,}",
    )
