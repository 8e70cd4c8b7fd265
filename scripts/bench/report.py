"""The benchmark on disk: JSON for programs, Markdown for readers, a picture for everyone."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from jaxode import strict_json
from jaxode.runs.files import write_json, write_whole
from jaxode.runs.provenance import short_commit, versions_text
from scripts.bench.cases import NOTES
from scripts.bench.picture import picture
from scripts.bench.rows import FAILED, MEASURED, NOT_COMPARED, Row
from scripts.bench.tables import GROUPS, precision_table, targets_table, times_table

RESULTS, TABLES, PICTURE = "benchmark.json", "benchmark.md", "benchmark.png"

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
    lines += targets_table(rows)
    for group, title in GROUPS.items():
        chosen = [row for row in rows if row.group == group]
        if chosen:
            table = precision_table(chosen) if group == "precision" else times_table(chosen)
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
