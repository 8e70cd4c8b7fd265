"""The benchmark on disk: JSON for programs, Markdown for readers, a picture for everyone."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from jaxode import strict_json
from jaxode.config.gradients import gradient_facts
from jaxode.plots.tables import markdown_table
from jaxode.runs.files import write_json, write_whole
from jaxode.runs.provenance import short_commit, versions_text
from scripts.bench.cases import DEFAULT_MODE, DEFAULTS, NOTES, SAME
from scripts.bench.picture import picture
from scripts.bench.rows import FAILED, MEASURED, NOT_COMPARED, Row

RESULTS, TABLES, PICTURE = "benchmark.json", "benchmark.md", "benchmark.png"

BUSY = 0.2
"""Cores at work for others from which on times are not to be trusted: threads that wait for each
other lose most.
"""

AIMS = {
    ("gradient", "tape"): 2.3,
    ("gradient", "backsolve"): 2.7,
    ("inference", "inference"): 3.3,
    ("resnet", "training"): 2.2,
    ("resnet", "inference"): 2.4,
}
"""Ratios to PyTorch with the same steps on a CPU with the native kernels, by group and gradient or
work.
"""

SWEPT, LEAST_BATCH = ("batch", "tolerance", "width", "colour"), 32
"""Groups whose rows of the default gradient mode should all be at 2, from this batch on."""

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

READING = """\
A training step is the loss of a batch and its gradient with respect to all parameters; inference
is a batch's logits. jaxode's training steps run four in one call, each from the parameters that
the one before it leaves, as its trainer runs many; PyTorch's run one after the other without an
update. Both sides have the same weights and the same random images; compilation is apart; their
calls take turns. The ratio is this side's time over jaxode's within a round: above 1, jaxode is
faster. Beside `backsolve` stands odeint_adjoint, beside all exact modes torchdiffeq's odeint,
differentiated through its steps. Sides whose outputs, loss, gradient, steps or evaluations differ
are not compared. MB is what a call needs beside its arguments: by XLA's memory analysis, or at
the peak of torch's allocator. Evaluations are those of the field; backward ones are counted as
they are carried out: again by `checkpointed` and `replay`, in the adjoint solve by `backsolve`;
`tape` and `direct` compute only norms and ReLUs again, which are counted too. What PyTorch
compiles, and its warming up, is its first call. GFLOP/s are the convolutions' operations, counted
by their definition; the ceiling is the speed of PyTorch's product of two 2048 x 2048 matrices,
and its column the share that the operations really done take of it: Winograd's convolutions do
half of them."""


def read(out: Path) -> list[Row]:
    """The rows stored in a folder; none if there are none.

    Raises OSError, and ValueError if the file is no such.
    """
    path = out / RESULTS
    if not os.path.lexists(path):
        return []
    try:
        return [Row(**row) for row in strict_json.read(path)]
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{path} holds no results of this benchmark ({error}): give another --out"
        ) from error


def store(rows: Sequence[Row], out: Path) -> None:
    """Write benchmark.json. Raises OSError."""
    write_json(out / RESULTS, [asdict(row) for row in rows])


def write(rows: Sequence[Row], out: Path, command: str) -> None:
    """Write benchmark.json, benchmark.md and benchmark.png. Raises OSError."""
    store(rows, out)
    write_whole(out / TABLES, markdown(rows, command))
    write_whole(out / PICTURE, picture(rows))


def summary(rows: Sequence[Row]) -> str:
    """How many rows ended in which way."""
    counts = [
        (sum(row.status == status for row in rows), status)
        for status in (MEASURED, NOT_COMPARED, FAILED)
    ]
    return ", ".join(f"{count} rows {status}" for count, status in counts)


def brief(row: Row) -> str:
    """A row in a few words."""
    name = f"{row.framework} {row.variant}".strip()
    if row.ms_median is None:
        return f"{name} {row.status}: {row.reason}"
    if row.status == NOT_COMPARED:
        return f"{name} {row.ms_median:.1f} ms, not compared: {row.reason}"
    return f"{name} {row.ms_median:.1f} ms" + (
        "" if row.ratio_median is None else f" (x {row.ratio_median:.2f})"
    )


def markdown(rows: Sequence[Row], command: str) -> str:
    """All tables as a document."""
    lines = ["# Benchmark", "", f"{summary(rows)}. `{command}`, {facts(rows)}.", "", READING, ""]
    shown = {row.variant or row.framework for row in rows} | {row.group for row in rows}
    lines += [f"- {side}: {note}." for side, note in NOTES.items() if side in shown] + [""]
    lines += targets(rows)
    for group, title in GROUPS.items():
        chosen = [row for row in rows if row.group == group]
        if chosen:
            table = _precision(chosen) if group == "precision" else _times(chosen)
            lines += [f"## {title}", "", table, ""]
    return "\n".join(lines)


def facts(rows: Sequence[Row]) -> str:
    """Where, when and with what the rows were measured."""
    packages = ("python", "jax", "flax", "diffrax", "torch", "torchdiffeq", "torchode")
    parts = [sorted({row.device for row in rows if row.device}), sorted({row.date for row in rows})]
    parts.append(sorted({f"{row.threads} threads" for row in rows}))
    parts.append(
        sorted(
            {f"kernels {row.kernels}" for row in rows if row.kernels and row.framework == "jaxode"}
        )
    )
    parts.append([versions_text(rows[-1].versions, packages)])
    parts.append(sorted({f"commit {short_commit(row.commit, 9)}" for row in rows if row.commit}))
    busy = [row.others_busy for row in rows if row.others_busy is not None]
    if busy:
        parts.append([f"other processes kept at most {max(busy):.2f} cores busy during a case"])
    return ", ".join(word for part in parts for word in part)


def aim(row: Row) -> float | None:
    """The ratio that was aimed at for a rival's row; None where none was."""
    if row.framework == "flax and diffrax":
        return 5.0
    if row.framework != "PyTorch" or row.variant not in (SAME, DEFAULTS):
        return None
    if not row.device.startswith("cpu"):
        main = row.group in ("gradient", "inference", "resnet")
        adjoint = bool(row.gradient) and gradient_facts(row.gradient).backward_solve
        return (1.2 if adjoint else 1.0) if main else None
    if row.group in SWEPT and row.gradient == DEFAULT_MODE and row.batch >= LEAST_BATCH:
        return 2.0
    return AIMS.get((row.group, row.gradient or row.work))


def targets(rows: Sequence[Row]) -> list[str]:
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


def busy(row: Row) -> bool:
    """Whether other processes used so much of the machine that the times are not reliable."""
    return (row.others_busy or 0.0) > BUSY


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


def _times(rows: Sequence[Row]) -> str:
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


def _precision(rows: Sequence[Row]) -> str:
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
