"""The parity map on disk: JSON for programs, Markdown for readers, a picture for everyone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from jaxode.plots.tables import markdown_table
from jaxode.runs.files import write_json, write_whole
from jaxode.runs.provenance import origin, versions_text
from scripts.parity.bounds import BOUNDS
from scripts.parity.measure import FAIL, OUT_OF_REACH, PASS, Row
from scripts.parity.picture import heat_map

RESULTS = "parity.json"
PACKAGES = ("jax", "flax", "diffrax", "optax", "numpy", "torch", "torchdiffeq")


def write(rows: Sequence[Row], out: Path, command: str) -> None:
    """Write parity.json, parity.md and parity.png into a folder. Raises OSError."""
    write_json(out / RESULTS, [asdict(row) for row in rows])
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
    measured = origin(command, *PACKAGES)
    versions = versions_text(measured["versions"], ("python", *PACKAGES))
    facts = f"{measured['date']}, {measured['device']}, {versions}"
    lines = ["# Parity with PyTorch", "", f"{summary(rows)}. `{command}`, {facts}.", ""]
    lines += [
        (
            "Errors are global relative ones, ‖a − b‖₂ / ‖b‖₂, the gradient's the larger of input"
            " and parameters."
        ),
        "",
    ]
    bounds = [(dtype, what, f"{b.limit:g}", b.reason) for (dtype, what), b in BOUNDS.items()]
    lines += [markdown_table(("type", "quantity", "at most", "because"), bounds), ""]
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
    return "\n".join([*lines, markdown_table(header, map(_cells, rows))]) + "\n"


def _cells(row: Row) -> list[str]:
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
    return [*fields, number(row.nfe_jax, "d"), number(row.nfe_torch, "d"), row.status, row.reason]
