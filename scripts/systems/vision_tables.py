"""The tables of detection and of depth: scores of the last epoch, size, time, command."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from jaxode.plots.tables import markdown_table
from scripts.systems.measures import (
    MEASURES,
    NOT_RUN,
    Measure,
    belongs,
    commands,
    figures,
    measured,
    of_result,
    protocols_of,
)
from scripts.systems.records import SystemRecord
from scripts.systems.row import SystemRow, SystemTable

DETECTION_SCORES = ("ap50", "ap", "precision", "recall", "f1", "threshold")
DEPTH_SCORES = ("rel", "rms", "log10", "delta1", "delta2", "delta3")

DETECTION_HEAD = [
    "backbone", "AP50", "AP[.5:.95]", "precision", "recall", "F1", "at score",
    "parameters", "epochs", "s an epoch", "command",
]  # fmt: skip
DEPTH_HEAD = [
    "encoder", "rel", "rms, m", "log10", "δ1", "δ2", "δ3", "published",
    "parameters", "epochs", "s an epoch", "command",
]  # fmt: skip


def detection_lines(
    records: Sequence[SystemRecord], table: SystemTable, row: SystemRow
) -> list[list[str]]:
    """Cells of a backbone: scores on the test images, size and time."""
    lines = []
    for found in protocols_of(records, table, row):
        scores = [measured(MEASURES[name], found, row) for name in DETECTION_SCORES]
        lines.append([row.label, *scores, *_run_cells(found)])
    return lines or [[row.label, NOT_RUN, *["–"] * (len(DETECTION_HEAD) - 3), ""]]


def depth_lines(
    records: Sequence[SystemRecord], table: SystemTable, row: SystemRow
) -> list[list[str]]:
    """Cells of an encoder: errors on the test pictures beside published ones, size and time."""
    published = figures(row.published.get("rel", ()))
    lines = []
    for found in protocols_of(records, table, row):
        scores = [measured(MEASURES[name], found, row) for name in DEPTH_SCORES]
        lines.append([row.label, *scores, published, *_run_cells(found)])
    return lines or [[row.label, NOT_RUN, *["–"] * 5, published, "–", "–", "–", ""]]


def _run_cells(found: Sequence[SystemRecord]) -> list[str]:
    """Parameters, epochs, seconds of an epoch with its evaluation (the mean), and the command."""
    result = found[0].result
    seconds = statistics.fmean(
        record.result["train_seconds_per_epoch"] + record.result["eval_seconds_per_epoch"]
        for record in found
    )
    counts = f"{result['parameters']:,}", str(result["epochs"])
    return [*counts, f"{seconds:.0f}", commands(found)]


def average_precisions_by_class(records: Sequence[SystemRecord], table: SystemTable) -> str:
    """A table of the average precision at overlap 0.5 of each class, a line for each protocol.

    Args:
      records: of detection, at least one.
      table: whose rows are shown.
    """
    names = sorted(
        {
            name
            for record in records
            if any(belongs(record, table, row) for row in table.rows)
            for name in record.result["detection"]["classes"]
        }
    )
    lines = []
    for row in table.rows:
        for found in protocols_of(records, table, row):
            cells = [measured(_of_class(name), found, row) for name in names]
            lines.append([row.label, *cells])
    return markdown_table(["AP50 by class", *names], lines)


def _of_class(name: str) -> Measure:
    return Measure(name, of_result("detection", "classes", name, "ap50"), ".3f")
