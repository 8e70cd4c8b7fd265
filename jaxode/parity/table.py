"""A parity report as text for the terminal."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxode.parity.calls import Solve
    from jaxode.parity.report import ParityReport

MOST_ROWS = 40
"""Layers and weights that are printed; of more, those that differ and the first ones."""

TITLES = {
    "weight": "weights",
    "output": "outputs",
    "input gradient": "gradients of inputs",
    "gradient": "gradients of weights",
    "state": "running statistics",
}


WORDS = {"weight": "the weight", "state": "after the call, the running statistic"}
"""Of comparisons that are named one by one where they differ."""

LAYOUT_WORDS = {
    "same": "as in PyTorch",
    "channels_last": "with channels last",
    "batch_first": "with the batch first",
    "given": "as given for each side",
}


def table(report: ParityReport) -> str:
    """The lines: verdict, where the sides part, a summary, layers, weights, solves, remarks."""
    mode = {True: "training", False: "evaluation", None: "modes as they were"}[report.train]
    verdict = "equal" if report.passed else "NOT equal"
    lines = [f"{verdict}: {report.dtype}, {mode}, inputs {LAYOUT_WORDS[report.layout]}"]
    if report.failure:
        lines.append(f"  the nnx module failed: {report.failure}")
    first, back = report.first_difference, report.first_gradient_difference
    if first is not None:
        known = "" if not report.passed else " (which does not reach the outputs)"
        lines.append(f"  first difference{known}: {first}")
    if back is not None:
        lines.append(
            f"  first gradient that differs, from the output back: {back.theirs} ({back.ours}),"
            f" error {_error(back.error)}"
        )
    lines += [
        f"  {WORDS[each.kind]} {each.theirs} ({each.ours}) differs: error {_error(each.error)}"
        for each in report.comparisons
        if each.kind in WORDS and not each.passed
    ][:MOST_ROWS]
    lines += [
        f"  the solve of {each.theirs.name or 'the whole'} takes other steps (see below)"
        for each in report.solves
        if not each.passed
    ]
    for title, names in (("PyTorch", report.only_torch), ("nnx", report.only_nnx)):
        for name, shape in names.items():
            lines.append(f"  only in {title}: {name} {list(shape)}")
    lines += ["", *_columns([("", "largest error", "limit"), *_summary(report)])]
    if report.layers:
        lines += ["", *_columns([("layer", "nnx", "error", "inputs"), *_layers(report)])]
    weights = list(_weights(report))
    if weights:
        lines += ["", *_columns([("weight", "nnx", "gradient", "how matched"), *weights])]
    if report.solves:
        head = ("solve", "", "evaluations", "accepted", "rejected", "backward")
        lines += ["", *_columns([head, *_solves(report)])]
    lines += ["", *report.remarks] if report.remarks else []
    return "\n".join(lines)


def _error(value: float | None) -> str:
    if value is None:
        return "–"
    return "other shape" if math.isinf(value) else f"{value:.1e}"


def _mark(passed: bool) -> str:
    return "" if passed else " ✗"


def _summary(report: ParityReport) -> Iterator[tuple[str, ...]]:
    for kind, title in TITLES.items():
        chosen = [each for each in report.comparisons if each.kind == kind]
        if chosen:
            worst = max(chosen, key=lambda each: (not each.passed, each.error))
            note = f" {worst.note}" if worst.note else ""
            yield title, _error(worst.error) + _mark(worst.passed), f"{worst.limit:g}{note}"


def _shortened(rows: list[tuple[bool, tuple[str, ...]]]) -> list[tuple[str, ...]]:
    """The rows, or of many the first ones and those that differ."""
    if len(rows) <= MOST_ROWS:
        return [row for _, row in rows]
    wrong = [row for differs, row in rows if differs][:MOST_ROWS]
    shown = wrong or [row for _, row in rows[:MOST_ROWS]]
    return [*shown, (f"… {len(rows) - len(shown)} more",)]


def _layers(report: ParityReport) -> list[tuple[str, ...]]:
    rows = []
    for each in report.layers:
        differs = each.error > report.layer_limit
        calls = f" ({each.calls} calls)" if each.calls > 1 else ""
        row = (
            (each.theirs or "the whole") + calls,
            each.ours or "the whole",
            _error(each.error) + _mark(not differs),
            _error(each.input_error),
        )
        rows.append((differs, row))
    return _shortened(rows)


def _weights(report: ParityReport) -> list[tuple[str, ...]]:
    gradients = {each.ours: each for each in report.comparisons if each.kind == "gradient"}
    rows = []
    for theirs, ours, layout, how in report.links:
        each = gradients.get(ours)
        error = "–" if each is None else _error(each.error) + _mark(each.passed)
        differs = each is not None and not each.passed
        rows.append((differs, (theirs, ours, error, f"{how}; {layout}")))
    return _shortened(rows)


def _solves(report: ParityReport) -> Iterator[tuple[str, ...]]:
    for each in report.solves:
        yield _solve(each.theirs, "PyTorch", "")
        if each.ours is not None:
            yield _solve(each.ours, "nnx", _mark(each.passed))


def _solve(solve: Solve, side: str, mark: str) -> tuple[str, ...]:
    counts = (solve.evaluations, solve.accepted, solve.rejected, solve.backward)
    return (solve.name or "the whole", side + mark, *("–" if c is None else str(c) for c in counts))


def _columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    width = max(map(len, rows))
    full = [(*row, *[""] * (width - len(row))) for row in rows]
    # A line that says only how many rows are left out makes no column wide.
    sizes = [max(len(row[c]) for row in full if any(row[1:])) for c in range(width)]
    return ["  ".join(cell.ljust(size) for cell, size in zip(row, sizes, strict=True)).rstrip()
            for row in full]  # fmt: skip
