"""The tables of the systems, from records: what was published beside what was measured."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from jaxode.data.densities import TARGETS
from jaxode.plots.tables import markdown_table
from jaxode.runs.provenance import short_commit, versions_text
from scripts.systems.measures import (
    MEASURES,
    NOT_RUN,
    belongs,
    commands,
    figures,
    measured,
    protocols_of,
)
from scripts.systems.records import SystemRecord
from scripts.systems.row import SystemRow, SystemTable
from scripts.systems.vision_tables import (
    DEPTH_HEAD,
    DETECTION_HEAD,
    average_precisions_by_class,
    depth_lines,
    detection_lines,
)


def density_lines(
    records: Sequence[SystemRecord], table: SystemTable, row: SystemRow
) -> list[list[str]]:
    """Cells of a density: measured beside the bound, what was published, the command."""
    measure, target = MEASURES["log_likelihood"], TARGETS.get(row.problem["target"])
    bound = None if target is None or not target.exact else -target.entropy
    known = "–" if bound is None else f"{bound:.3f}".replace("-", "−")
    published = figures(row.published.get("log_likelihood", ()))
    lines = []
    for found in protocols_of(records, table, row) or [[]]:
        gap = "–"
        values = [value for record in found if (value := measure.read(record)) is not None]
        if bound is not None and values:
            gap = f"{bound - statistics.fmean(values):.3f}".replace("-", "−")
        cell = measured(measure, found, row) if found else NOT_RUN
        lines.append([row.label, cell, known, gap, published, commands(found) if found else ""])
    return lines


def series_lines(
    records: Sequence[SystemRecord], table: SystemTable, row: SystemRow
) -> list[list[str]]:
    """Cells of a model of series: a line for each measure, beside what was published."""
    lines = []
    for found in protocols_of(records, table, row) or [[]]:
        for number, name in enumerate(row.measures):
            measure = MEASURES[name]
            cell = measured(measure, found, row) if found else NOT_RUN
            published = figures(row.published.get(name, ()))
            command = commands(found) if found and not number else ""
            lines.append([row.label, measure.heading, cell, published, command])
    return lines


HEADS = {
    "density": ["target", "log-likelihood, nats", "−entropy", "gap", "published", "command"],
    "series": ["data and model", "measure", "here", "published", "command"],
    "detection": DETECTION_HEAD,
    "depth": DEPTH_HEAD,
}
LINES = {
    "density": density_lines,
    "series": series_lines,
    "detection": detection_lines,
    "depth": depth_lines,
}


def section(table: SystemTable, records: Sequence[SystemRecord]) -> str:
    """The table of a system, with where its records were made.

    Args:
      table: whose rows are shown.
      records: of the system; those that belong to no row are named below it.
    """
    lines = [line for row in table.rows for line in LINES[table.name](records, table, row)]
    text = [markdown_table(HEADS[table.name], lines)]
    if table.name == "detection" and records:
        text += ["", average_precisions_by_class(records, table)]
    if records:
        text += ["", f"Measured: {origin(records)}"]
    others = [
        record.name
        for record in records
        if not any(belongs(record, table, row) for row in table.rows)
    ]
    if others:
        text += ["", f"Records of no row: {', '.join(others)}."]
    return "\n".join(text)


def origin(records: Sequence[SystemRecord]) -> str:
    """Machines, versions, commits and dates of records."""
    results = [record.result for record in records]
    machines = sorted({f"{r['device']}, {r['cores']} cores" for r in results if "device" in r})
    versions = sorted(
        {
            versions_text(r["versions"], (name,))
            for r in results
            if "versions" in r
            for name in LIBRARIES
        }
    )
    commits = sorted({short_commit(r["commit"]) for r in results if r.get("commit")})
    dates = sorted({r["date"][:10] for r in results if r.get("date")})
    seeds = sorted({record.experiment["seed"] for record in records})
    parts = [*machines, ", ".join(versions), f"commit {', '.join(commits)}"]
    parts.append(f"seed {', '.join(map(str, seeds))}")
    if dates:
        parts.append(" to ".join(dict.fromkeys((dates[0], dates[-1]))))
    return f"{'; '.join(filter(None, parts))}."


LIBRARIES = ("python", "jax", "flax", "diffrax")
