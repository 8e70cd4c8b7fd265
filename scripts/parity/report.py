"""The parity map on disk: JSON for programs, Markdown for readers, a picture for everyone."""

from __future__ import annotations

import platform
import time
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jaxode.runs.files import write_json, write_whole
from jaxode.runs.provenance import device
from scripts.parity.bounds import BOUNDS
from scripts.parity.measure import FAIL, OUT_OF_REACH, PASS, Row
from scripts.parity.picture import heat_map

PACKAGES = ("jax", "flax", "diffrax", "optax", "numpy", "torch", "torchdiffeq")


def provenance() -> dict[str, Any]:
    """Where and with what the rows were measured."""
    return {
        "date": time.strftime("%Y-%m-%d"),
        "device": device(),
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
    }


def write(rows: Sequence[Row], out: Path, command: str) -> None:
    """Write parity.json, parity.md and parity.png into a folder. Raises OSError."""
    write_json(out / "parity.json", [asdict(row) for row in rows])
    write_whole(out / "parity.md", markdown(rows, command))
    write_whole(out / "parity.png", heat_map(rows, summary(rows)))


def summary(rows: Sequence[Row]) -> str:
    """How many rows ended in which way."""
    counted = {
        status: sum(row.status == status for row in rows) for status in (PASS, FAIL, OUT_OF_REACH)
    }
    return (
        f"{counted[PASS]} cells pass, {counted[FAIL]} fail, {counted[OUT_OF_REACH]} are out of"
        " reach"
    )


def markdown(rows: Sequence[Row], command: str) -> str:
    """The whole map as a document."""
    facts = ", ".join(
        f"{name} {value}" if name in ("python", *PACKAGES) else str(value)
        for name, value in provenance().items()
    )
    lines = ["# Parity with PyTorch", "", f"{summary(rows)}. `{command}`, {facts}.", ""]
    lines += [
        (
            "Errors are global relative ones, ‖a − b‖₂ / ‖b‖₂, the gradient's the larger of input"
            " and parameters."
        ),
        "",
    ]
    lines += ["| type | quantity | at most | because |", "|---|---|---|---|"]
    lines += [
        f"| {dtype} | {what} | {b.limit:g} | {b.reason} |" for (dtype, what), b in BOUNDS.items()
    ]
    header = (
        "subject",
        "solver",
        "gradient",
        "stepping",
        "type",
        "tolerance or step",
        "output error",
        "gradient error",
    )
    header += ("steps (rejected)", "torch's", "NFE", "torch's", "status", "reason")
    lines += ["", f"| {' | '.join(header)} |", "|" + "---|" * len(header)]
    return "\n".join([*lines, *map(_line, rows)]) + "\n"


def _line(row: Row) -> str:
    def number(value: float | None, form: str) -> str:
        return "" if value is None else format(value, form)

    def steps(tried: int | None, rejected: int | None) -> str:
        return "" if tried is None else f"{tried} ({rejected})"

    fields = [
        row.subject,
        row.solver,
        row.gradient,
        row.stepping,
        row.dtype,
        number(row.tolerance, "g"),
    ]
    fields += [number(row.output_error, ".1e"), number(row.gradient_error, ".1e")]
    fields += [steps(row.steps_jax, row.rejected_jax), steps(row.steps_torch, row.rejected_torch)]
    fields += [number(row.nfe_jax, "d"), number(row.nfe_torch, "d"), row.status, row.reason]
    return f"| {' | '.join(fields)} |"
