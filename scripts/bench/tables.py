"""Rows of the benchmark as tables of Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from jaxode.plots.tables import markdown_table
from scripts.bench.aims import aim, busy
from scripts.bench.rows import MEASURED, Row

GROUPS = {
    "gradient": "Training step by gradient mode",
    "inference": "Inference",
    "resnet": "ResNet 6",
    "stock": "Against flax.nnx layers in Diffrax's default solve",
    "torchode": "Against torchode",
    "per sample": "Every image by itself",
    "compiled": "Against torch.compile",
    "channels last": "Against PyTorch with channels last",
    "blocks": "More ODE blocks",
    "tolerance": "Tolerance",
    "batch": "Batch size",
    "width": "Channels",
    "colour": "Images of 32 x 32 in colour",
    "arithmetic": "Precision of the convolutions",
    "precision": "One forward solve: work and precision",
}
"""Title of the table of each group, in the order of the report."""


def targets_table(rows: Sequence[Row]) -> list[str]:
    """The ratios that were aimed at, beside those found; nothing if none was measured."""
    lines = []
    for row in rows:
        wanted = aim(row)
        if wanted is None:
            continue
        verdict = row.status
        if row.ratio_median is not None:
            verdict = (
                "not decided: machine busy"
                if busy(row)
                else "yes"
                if row.ratio_median >= wanted
                else "no"
            )
        lines.append((row.case, _side(row), f"{wanted:g}", _ratio(row), verdict, str(row.runs)))
    head = ("case", "rival", "aimed at", "ratio (lowest–highest)", "reached", "runs")
    return ["## What was aimed at", "", markdown_table(head, lines), ""] if lines else []


def _side(row: Row) -> str:
    return f"{row.framework}, {row.variant}" if row.variant else row.framework


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _ratio(row: Row) -> str:
    return (
        ""
        if row.ratio_median is None
        else f"{row.ratio_median:.2f} ({row.ratio_min:.2f}–{row.ratio_max:.2f})"
    )


def _time(row: Row) -> str:
    return (
        "" if row.ms_median is None else f"{row.ms_median:.1f} ({row.ms_min:.1f}–{row.ms_max:.1f})"
    )


def _end(row: Row) -> str:
    beside = [f"beside other work on {row.others_busy:.1f} cores"] if busy(row) else []
    reason = row.reason if row.status == MEASURED else f"{row.status}: {row.reason}"
    return "; ".join(text for text in (reason, *beside) if text)


def times_table(rows: Sequence[Row]) -> str:
    """Times, ratios and costs of every side."""
    header = (
        "case",
        "side",
        "ms (lowest–highest)",
        "ratio",
        "images/s",
        "GFLOP/s",
        "ceiling",
        "compile s",
        "MB",
    )
    lines = [
        (
            row.case.partition(": ")[2],
            _side(row),
            _time(row),
            _ratio(row),
            _number(row.images_per_second, ".0f"),
            _number(row.gflops, ".0f"),
            _number(row.ceiling_share, ".0%"),
            _number(row.compile_seconds, ".1f"),
            _number(row.memory_mb, ".0f"),
            _number(row.accepted, "d") + (f" ({row.rejected})" if row.rejected else ""),
            _number(row.nfe_forward, "d"),
            _number(row.nfe_backward, "d"),
            _end(row),
        )
        for row in rows
    ]
    head = (*header, "steps (rejected)", "evaluations", "backward", "remarks")
    return markdown_table(head, lines)


def precision_table(rows: Sequence[Row]) -> str:
    """Error and time of one forward solve by tolerance."""
    header = ("tolerance", "side", "error", "ms (lowest–highest)", "ratio", "steps", "evaluations")
    lines = [
        (
            _number(row.tolerance, "g"),
            _side(row),
            _number(row.error, ".1e"),
            _time(row),
            _ratio(row),
            _number(row.accepted, "d"),
            _number(row.nfe_forward, "d"),
            _number(row.outside_ms_per_step, ".2f"),
            _end(row),
        )
        for row in rows
    ]
    text = (
        "The error is that of the final state, ‖a − b‖₂ / ‖b‖₂, against dopri5 at 1e-10 in float64."
    )
    table = markdown_table((*header, "ms a step outside the field", "remarks"), lines)
    return f"{text}\n\n{table}"
