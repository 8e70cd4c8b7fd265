"""Tables as a document: published numbers, and under them ours by each protocol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from jaxode.data import SPECS
from jaxode.plots.tables import markdown_table
from jaxode.runs.origins import EARLIER
from jaxode.runs.provenance import short_commit, versions_text
from scripts.systems.documents import BEGIN, END, both
from scripts.tables.analyses import Finding
from scripts.tables.columns import MEASURES, measured
from scripts.tables.protocol_text import protocols
from scripts.tables.protocols import Scale, epochs, published_epochs, settings
from scripts.tables.records import Record, of_row
from scripts.tables.rows import TABLES
from scripts.tables.table import Row, Table

ALWAYS: tuple[Scale, ...] = ("full", "cpu")
"""Protocols that have a line even where nothing has been run."""

NOT_RUN = "not yet run"

INTRODUCTION = """\
Under each model what was published, and what this project measures. `full` is the published
protocol. `cpu` is a smaller one, of fewer epochs, and its figures are not those of the published
protocol. Where several seeds were run, figures are means ± standard deviations. Rows of several
tables that are the same run were run once. Accuracies are those of the last epoch on evaluation
views; Gładzik's are those of training images, Chen et al.'s errors those of test images. Times
are medians of the epochs on the machine named below a table, whatever else it did meanwhile;
evaluation times are of training and test images together. Every record, with all settings, class
scores, confusion matrix, seed, hardware, versions and commit, is in [records](records/)."""


def columns(table: Table) -> list[str]:
    """Names of the measures shown: those published of a row, and those that every table has."""
    published = {name for row in table.rows for name in row.published}
    test = "test_error" if "test_error" in published else "test_accuracy"
    solves = (
        {"nfe"}
        if any(settings(table, row, "full").model.ode_blocks for row in table.rows)
        else set()
    )
    unsplit = set() if SPECS[table.dataset].predefined_split else {"train_images"}
    shown = (
        published
        | solves
        | unsplit
        | {test, "train_accuracy", "test_macro_f1", "parameters", "epoch_seconds"}
    )
    return [name for name in MEASURES if name in shown]


def lines_of(table: Table, row: Row, records: Sequence[Record]) -> list[list[str]]:
    """The cells of a row of a published table: as published, then by each protocol."""
    names = columns(table)
    lines = []
    if row.published:
        published = [row.published.get(name, "") for name in names]
        lines.append([f"published, {published_epochs(table)} epochs", *published])
    for scale in get_args(Scale):
        found = of_row(records, table, row, scale)
        if not found and scale not in ALWAYS:
            continue
        figures = [measured(MEASURES[name], found) if found else NOT_RUN for name in names]
        lines.append([f"`{scale}`, {epochs(table, row, scale)}", *figures])
    return [[f"**{row.label}**" if number == 0 else "", *line] for number, line in enumerate(lines)]


def origin(found: Sequence[Record]) -> str:
    """Where and when the runs of a table were trained, in all their starts."""
    starts = [
        start for record in found for start in (record.result, *record.result.get(EARLIER, []))
    ]
    cores = {start["cores"] for start in starts}
    hardware = [
        *sorted({start["device"] for start in starts}),
        f"{' or '.join(map(str, sorted(cores)))} core{'s' if max(cores) > 1 else ''}",
    ]
    libraries = ("python", "jax", "flax", "diffrax")
    versions = sorted(
        {versions_text(start["versions"], (name,)) for start in starts for name in libraries}
    )
    commits = sorted({short_commit(start["commit"]) for start in starts})
    dates = sorted({start["date"] for start in starts})
    seeds = sorted({record.config.seed for record in found})
    parts = [
        ", ".join(versions),
        f"commit {', '.join(commits)}",
        f"seed {', '.join(map(str, seeds))}",
    ]
    return (
        "; ".join([", ".join(hardware), *parts, " to ".join(dict.fromkeys((dates[0], dates[-1])))])
        + "."
    )


def section(table: Table, records: Sequence[Record]) -> list[str]:
    """One table."""
    head = ["model", "protocol", *(MEASURES[name].heading for name in columns(table))]
    lines = [f"## {table.title}", "", *([table.text, ""] if table.text else [])]
    lines += [f"`python -m scripts.reproduce {table.name} --scale full` (or `cpu`)", ""]
    lines += [*protocols(table), ""]
    cells = [cells for row in table.rows for cells in lines_of(table, row, records)]
    lines.append(markdown_table(head, cells))
    found = [
        r
        for row in table.rows
        for scale in get_args(Scale)
        for r in of_row(records, table, row, scale)
    ]
    return [*lines, "", *([f"Measured: {origin(found)}", ""] if found else [])]


def claims_section(findings: Sequence[tuple[Scale, Finding]]) -> list[str]:
    """The measured claims: for each a paragraph and a picture by protocol."""
    lines = [
        "## Claims, measured by these runs",
        "",
        "Of several seeds, the run with the lowest is shown.",
        "",
    ]
    for claim in dict.fromkeys(finding.claim for _, finding in findings):
        found = {scale: finding for scale, finding in findings if finding.claim == claim}
        lines += [f"**{claim}**", ""]
        for scale, finding in found.items():
            if finding.text:
                lines += [
                    f"`{scale}`: {finding.text}",
                    "",
                    f"![{claim}]({finding.name}-{scale}.png)",
                    "",
                ]
        lacking = [f"`{scale}`" for scale, finding in found.items() if not finding.text]
        lines += [f"{' and '.join(lacking)}: {NOT_RUN}.", ""] if lacking else []
    return lines


def markdown(
    records: Sequence[Record],
    pictures: Sequence[tuple[str, str]],
    findings: Sequence[tuple[Scale, Finding]],
    command: str,
) -> str:
    """The whole document. `pictures` are pairs of a file and what it shows."""
    lines = ["# Results", "", f"`{command}`", "", INTRODUCTION, ""]
    for table in TABLES.values():
        lines += section(table, records)
    lines += [BEGIN, "", both(), "", END, ""]
    lines += claims_section(findings)
    for file, text in pictures:
        lines += [f"![{text}]({file})", "", text, ""]
    return "\n".join(lines).rstrip() + "\n"
