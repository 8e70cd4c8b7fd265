"""Three claims measured by the records of runs.

The number of function evaluations in training, a second block, and the accuracy that an ODE block
adds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scripts.tables.columns import training_seconds
from scripts.tables.pictures import Curve, draw
from scripts.tables.protocols import Scale
from scripts.tables.records import Record, of_row
from scripts.tables.rows import TABLES
from scripts.tables.table import Row, Table


@dataclass(frozen=True)
class Finding:
    """A claim with its measurement.

    Args:
      name: of the picture's file, less the protocol.
      claim: in one sentence.
      text: the measured numbers; empty if a run is missing.
      png: the picture's bytes; empty if a run is missing.
    """

    name: str
    claim: str
    text: str = ""
    png: bytes = b""


def rows_with_runs(
    records: Sequence[Record], tables: Sequence[str], scale: Scale
) -> list[tuple[Table, Row, Record]]:
    """The rows that have been run, each with its run of the lowest seed.

    Runs that rows share are named once.
    """
    found: dict[str, tuple[Table, Row, Record]] = {}
    for name in tables:
        for row in TABLES[name].rows:
            for record in of_row(records, TABLES[name], row, scale)[:1]:
                found.setdefault(record.name, (TABLES[name], row, record))
    return list(found.values())


def series(record: Record, name: str, scale: float = 1.0) -> list[tuple[float, float]]:
    """A figure over the epochs."""
    return [(line["epoch"], scale * line[name]) for line in record.history]


def errors(record: Record) -> list[tuple[float, float]]:
    """Test error in % over the epochs.

    No error at all is half an image, for a logarithmic axis has no zero.
    """
    least = 50 / record.result["test_images"]
    return [
        (epoch, max(100 - value, least)) for epoch, value in series(record, "test_accuracy", 100)
    ]


def label(table: Table, row: Row) -> str:
    """A row among those of several tables."""
    return f"{table.title}: {row.label}"


def growth(records: Sequence[Record], scale: Scale) -> Finding:
    """Evaluations of a solve over the epochs."""
    claim = (
        "The number of function evaluations grows during training (Chen et al. 2018, figure 3d)."
    )
    runs = [
        (table, row, record)
        for table, row, record in rows_with_runs(records, list(TABLES), scale)
        if record.config.model.ode_blocks and record.config.epochs > 1
    ]
    if not runs:
        return Finding("nfe", claim)
    curves = {
        "evaluations of a forward solve, test images": [],
        "the same, mean of the training steps": [],
    }
    for (table, row, record), panel in ((run, panel) for run in runs for panel in curves):
        name = "nfe_forward" if "test" in panel else "nfe_forward_train"
        along = [
            (100 * epoch / record.config.epochs, value) for epoch, value in series(record, name)
        ]
        curves[panel].append(Curve(label(table, row), along))
    parts = [
        f"{label(table, row)}, {record.history[0]['nfe_forward_train']:.1f} in the first epoch and"
        f" {record.history[-1]['nfe_forward_train']:.1f} in the last ({record.config.epochs})"
        for table, row, record in runs
    ]
    return Finding(
        "nfe",
        claim,
        f"Mean of the training steps: {'; '.join(parts)}.",
        draw(curves, x="% of the run's epochs"),
    )


def second_block(records: Sequence[Record], scale: Scale) -> Finding:
    """One block against two."""
    claim = (
        "A second ODE block gains no accuracy, and each of the two takes fewer evaluations than the"
        " one (Gładzik 2019)."
    )
    runs = rows_with_runs(records, ["fashion_mnist_chained"], scale)
    pairs: dict[str, dict[int | None, Record]] = {}
    for _, row, record in runs:
        pairs.setdefault(row.label.partition(", ")[2], {})[record.config.model.blocks] = record
    whole = {how: (pair[1], pair[2]) for how, pair in pairs.items() if pair.keys() == {1, 2}}
    if not whole:
        return Finding("blocks", claim)
    curves = {
        "test accuracy in %": [
            Curve(row.label, series(record, "test_accuracy", 100)) for _, row, record in runs
        ],
        "evaluations a block, training steps": [
            Curve(row.label, series(record, "nfe_forward_train")) for _, row, record in runs
        ],
    }
    parts = [
        f"{how}, one block gets {100 * one.result['test_accuracy']:.2f} % of the test images right"
        f" with {one.result['nfe_forward']:.1f} evaluations, two get"
        f" {100 * two.result['test_accuracy']:.2f} % with {two.result['nfe_forward']:.1f}"
        f" each{_times_as_long(one, two)}"
        for how, (one, two) in whole.items()
    ]
    text = f"Fashion-MNIST: {'; '.join(parts)}."
    return Finding("blocks", claim, text, draw(curves))


def _times_as_long(one: Record, two: Record) -> str:
    """The ratio of the two runs' times of an epoch, if their machines are the same."""
    if any(one.result[name] != two.result[name] for name in ("device", "cores")):
        return ""
    return (
        f", in {training_seconds(two) / training_seconds(one):.2f} times the time an epoch"
        " (medians)"
    )


def worth(records: Sequence[Record], scale: Scale) -> Finding:
    """The net with and without its ODE block."""
    claim = (
        "Much of the accuracy is that of the downsampling: the same net without its ODE block"
        " (132,874 parameters)."
    )
    runs = rows_with_runs(records, ["mnist_worth"], scale)
    if len(runs) < len(TABLES["mnist_worth"].rows):
        return Finding("worth", claim)
    parts = [
        f"{row.label} ({record.result['parameters']:,} parameters)"
        f" {100 * (1 - record.result['test_accuracy']):.2f} %"
        for _, row, record in runs
    ]
    curves = {
        "test error in %": [Curve(row.label, errors(record)) for _, row, record in runs],
    }
    return Finding(
        "worth", claim, f"Test error on MNIST: {', '.join(parts)}.", draw(curves, logarithmic=True)
    )


def learning(records: Sequence[Record], scale: Scale) -> dict[str, Any] | None:
    """A panel for each table that has been run: test error over the epochs."""
    panels: dict[str, list[Curve]] = {}
    for table in TABLES.values():
        runs = rows_with_runs(records, [table.name], scale)
        if runs:
            title = f"{table.title}: test error in %"
            panels[title] = [Curve(row.label, errors(record)) for _, row, record in runs]
    return panels or None
