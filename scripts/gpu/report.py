"""The check's results: one JSON file for programs, one page of tables for readers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jaxode.plots.tables import markdown_table
from jaxode.runs.files import write_json, write_whole
from jaxode.runs.provenance import short_commit, versions_text
from scripts.gpu.children import FAILED, Ended
from scripts.gpu.row import Row

RESULTS, PAGE = "gpu_check.json", "gpu_check.md"
PACKAGES = ("python", "jax", "flax", "diffrax", "torch", "torchdiffeq")

READING = """\
Gradient modes: a training step of the ODENet (dopri5, tolerance 1e-3) on the GPU against the same
step on the CPU in float64, and short trainings; errors in tf32 and bfloat16 are reported without a
bound. Parity: jaxode on the GPU against PyTorch and torchdiffeq on the CPU. Speed: a training
step's loss and gradient, paired; a ratio above 1 says that jaxode is faster."""


def failures(ended: Sequence[Ended], rows: Sequence[Row]) -> int:
    """How many checks do not hold and parts failed. The end of the time is no failure."""
    return sum(row.passed is False for row in rows) + sum(part.status == FAILED for part in ended)


def summary(ended: Sequence[Ended], rows: Sequence[Row]) -> str:
    """The results in one line."""
    passed = sum(row.passed is True for row in rows)
    short = sum(part.status not in ("complete", FAILED) for part in ended)
    return (
        f"{passed} checks hold, {failures(ended, rows)} do not;"
        f" {sum(row.passed is None for row in rows)} figures reported;"
        f" {short} of {len(ended)} parts ran out of time"
    )


def write(
    out: Path, origin: dict[str, Any] | None, ended: Sequence[Ended], rows: Sequence[Row]
) -> None:
    """Write both files. Raises OSError."""
    parts, figures = [asdict(part) for part in ended], [asdict(row) for row in rows]
    write_json(out / RESULTS, {"origin": origin, "parts": parts, "rows": figures})
    write_whole(out / PAGE, page(origin, ended, rows))


def page(origin: dict[str, Any] | None, ended: Sequence[Ended], rows: Sequence[Row]) -> str:
    """The page."""
    lines = ["# GPU check", "", f"{summary(ended, rows)}.", ""]
    if origin is not None:
        lines += [
            f"`{origin['command']}`, {origin['device']}, {origin['date']},"
            f" {versions_text(origin['versions'], PACKAGES)},"
            f" commit {short_commit(origin['commit'], 9)}.",
            "",
        ]
    lines += [READING, ""]
    parts = [(e.name, e.status, f"{e.seconds:.0f}", e.note) for e in ended]
    lines += ["## Parts", "", markdown_table(("part", "status", "s", "remark"), parts), ""]
    for part in dict.fromkeys(row.part for row in rows):
        cells = [cells_of(row) for row in rows if row.part == part]
        head = ("what", "figure", "unit", "at most", "aimed at", "holds", "remark")
        lines += [f"## {part.capitalize()}", "", markdown_table(head, cells), ""]
    return "\n".join(lines)


def cells_of(row: Row) -> tuple[str, ...]:
    """A row's cells."""

    def number(value: float | None) -> str:
        return "" if value is None else f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"

    holds = {None: "", True: "yes", False: "**no**"}[row.passed]
    if row.aim is not None and row.value is not None:
        holds = "reached" if row.value >= row.aim else "not reached"
    limit, aim = number(row.limit), number(row.aim)
    return row.name, number(row.value), row.unit, limit, aim, holds, row.note.replace("|", "/")
