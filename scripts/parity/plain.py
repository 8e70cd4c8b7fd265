"""A cell of plain torchdiffeq measured and judged, and the cells as a document."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxode.parity.bounds import BOUNDS
from jaxode.plots.tables import markdown_table
from scripts.parity.measure import FAIL, OUT_OF_REACH, PASS
from scripts.parity.plain_cells import PlainCell
from scripts.parity.plain_sides import ours, theirs
from scripts.parity.plain_truth import (
    Differences,
    TorchErrors,
    differences,
    errors_of_torch,
    moved_by_rounding,
    times_moved,
)

ROUNDING = 1e-13
"""Of the times of evaluations."""

CONDITION = 10
"""How much more the sides may differ in what rounding decides than torchdiffeq's own results move
when its start is rounded anew: they round in every operation, not at the start alone."""

WRONG = 100
"""From how many tolerances a result is wrong. On a fixed grid, which has none, one without a right
digit is."""


@dataclass(frozen=True)
class PlainRow:
    """A measured cell, with evaluations and steps of both sides; None is an infinite error.

    `steps` are those accepted and rejected, forward and backward. `times_error` is the most that
    the times of forward evaluations differ, in order, and `times_moved` the most that torchdiffeq's
    own move when its start is rounded anew.
    """

    name: str
    solver: str
    gradient: str
    output_error: float | None
    gradient_error: float | None
    forward: int
    forward_torch: int
    backward: int | None
    backward_torch: int | None
    steps: tuple[int, ...]
    steps_torch: tuple[int, ...]
    times_error: float | None
    times_moved: float
    torch_errors: TorchErrors
    status: str
    reason: str = ""


def measure(cell: PlainCell) -> PlainRow:
    """Run a cell on both sides. Needs x64 to be on."""
    a, b = ours(cell), theirs(cell)
    found, errors = differences(a, b), errors_of_torch(cell, b)
    moved = times_moved(cell, b) if cell.adaptive else 0.0
    kind = "backsolve" if cell.adjoint else "exact"
    values, steps = [], []
    if found.output > (limit := BOUNDS["float64", "output"].limit):
        values.append(f"output {found.output:.1e} above {limit:g}")
    if found.gradient > (limit := BOUNDS["float64", kind].limit):
        values.append(f"gradient {found.gradient:.1e} above {limit:g}")
    if (a.forward, a.backward) != (b.forward, b.backward):
        steps.append("evaluations differ")
    if a.steps != b.steps:
        steps.append("steps differ")
    if found.times > ROUNDING + CONDITION * moved:
        steps.append("times of evaluations differ")
    status = FAIL if values or steps else PASS
    if values and not steps and _wrong(cell, errors):
        moves = moved_by_rounding(cell, b)
        if _ill_conditioned(found, moves):
            status = OUT_OF_REACH
        values.append(
            "torchdiffeq's own output and gradient move by"
            f" {moves.output:.1e} and {moves.gradient:.1e} when its start is rounded anew; against"
            f" SciPy its output is off by {errors.output:.1e}, its derivative with respect to the"
            f" last time by {errors.end_time:.1e}"
        )
    return PlainRow(
        cell.name, cell.solver, cell.gradient, _finite(found.output), _finite(found.gradient),
        a.forward, b.forward, a.backward, b.backward, a.steps, b.steps, _finite(found.times),
        moved, errors, status, "; ".join([*values, *steps]),
    )  # fmt: skip


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _ill_conditioned(found: Differences, moves: Differences) -> bool:
    """Whether rounding alone moves torchdiffeq's results as far as ours are from them."""
    bounds = BOUNDS["float64", "output"].limit, BOUNDS["float64", "exact"].limit
    return all(
        difference <= max(bound, CONDITION * moved)
        for difference, moved, bound in zip(found[:2], moves[:2], bounds, strict=True)
    )


def _wrong(cell: PlainCell, errors: TorchErrors) -> bool:
    """Whether torchdiffeq's result is wrong, by SciPy's."""
    return max(errors) > (WRONG * cell.setting if cell.adaptive else 1.0)


def summary(rows: Sequence[PlainRow]) -> str:
    """How many cells ended in which way."""
    counts = Counter(row.status for row in rows)
    return (
        f"{counts[PASS]} cells pass, {counts[FAIL]} fail, {counts[OUT_OF_REACH]} are out of reach"
    )


def markdown(rows: Sequence[PlainRow], facts: str) -> str:
    """Largest errors by solver and gradient, then every cell that does not pass."""
    lines = ["# Plain torchdiffeq", "", f"{summary(rows)}. {facts}.", ""]
    lines += [
        "Every solver of torchdiffeq 0.2.5 as a user calls it, in float64: a tensor and a tuple",
        "of two, one output time and several, rising and falling; adaptive methods at tolerances",
        "1e-3, 1e-5 and 1e-7, fixed grids of step 0.07 and 1/49. Errors are relative,",
        "‖a − b‖₂ / ‖b‖₂, the gradient's the largest of start, each parameter and times. Forward",
        "and backward evaluations must be equal, the accepted and rejected steps of both solves,",
        "and the times of all forward evaluations, those of rejected steps among them: up to 1e-13",
        "and ten times what torchdiffeq's own move when its start is rounded anew: a step's size",
        "follows from an error estimate, which at tight tolerances is little more than rounding.",
        "Out of reach is a cell with equal steps where rounding the start moves torchdiffeq's own",
        "values as far as ours are from them, and where it is wrong against SciPy's DOP853.",
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
    for title, status in (("Failing", FAIL), ("Out of reach", OUT_OF_REACH)):
        found = [(row.name, row.reason) for row in rows if row.status == status]
        if found:
            lines += [f"## {title}", "", markdown_table(("cell", "reason"), found), ""]
    return "\n".join(lines)


ERRORS = ("output_error", "gradient_error", "times_error")


def _largest(errors: Sequence[float | None]) -> str:
    return f"{max(np.inf if error is None else error for error in errors):.1e}"


def _summed(solver: str, gradient: str, group: Sequence[PlainRow]) -> tuple[str, ...]:
    return (
        solver,
        gradient,
        str(len(group)),
        *(_largest([getattr(row, name) for row in group]) for name in ERRORS),
        f"{sum(row.forward + (row.backward or 0) for row in group):,}",
    )
