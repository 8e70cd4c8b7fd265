"""Tables as a document: published figures beside measured ones, a part for each protocol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from scripts.tables.findings import Finding
from scripts.tables.measures import MEASURES, measured
from scripts.tables.protocols import Scale, says
from scripts.tables.records import Record, of_row
from scripts.tables.rows import TABLES, Row, Table

MAIN: tuple[Scale, ...] = ("full", "cpu")
"""Protocols whose tables are printed even if none of their rows has been run."""

INTRODUCTION = """\
Each table as published, beside what this project measures; where several seeds were run, the mean ± the standard
deviation. The tables of one protocol stand together, and a smaller protocol never stands for the published one. Rows of
several tables that are the same run were run once. Accuracies are those of the last epoch, on evaluation views. The
thesis's accuracies are those of training images; Chen et al.'s errors are those of test images. Every record, with all
settings, class scores, confusion matrix, seed, hardware, versions and commit, is in [records](records/)."""


def columns(table: Table) -> list[str]:
    """Names of the measures shown: those published of a row, and those that every table has."""
    told = {name for row in table.rows for name in row.published}
    test = "test_error" if "test_error" in told else "test_accuracy"
    always = {test, "train_accuracy", "test_macro_f1", "parameters", "epoch_seconds"}
    solves = {"nfe"} if any(row.settings.get("model") == "odenet" for row in table.rows) else set()
    return [name for name in MEASURES if name in told | always | solves]


def cells(table: Table, row: Row, found: Sequence[Record]) -> list[str]:
    """The figures of a row: of each measure what was published, if anything of the table was, and what was measured."""
    line = [row.label]
    for name in columns(table):
        if any(name in other.published for other in table.rows):
            line.append(row.published.get(name, ""))
        line.append(measured(MEASURES[name], found))
    return line


def heading(table: Table) -> list[str]:
    """Headings of the columns of `cells`."""
    line = ["model"]
    for name in columns(table):
        text = MEASURES[name].heading
        published = any(name in row.published for row in table.rows)
        line += [f"{text}, published", f"{text}, measured"] if published else [text]
    return line


def origin(found: Sequence[Record]) -> str:
    """Where and when the runs behind a table were made."""
    hardware = sorted({f"{r.result['device']}, {r.result.get('cores', '?')} cores" for r in found})
    versions = sorted({f"jax {r.result['versions']['jax']}, flax {r.result['versions']['flax']}" for r in found})
    commits = sorted({str(r.result["commit"])[:10] for r in found})
    dates = sorted({r.result.get("date", "?") for r in found})
    seeds = sorted({r.config.seed for r in found})
    return (
        f"{'; '.join(hardware)}; {'; '.join(versions)}; commit {', '.join(commits)};"
        f" seed {', '.join(map(str, seeds))}; {' to '.join(dict.fromkeys([dates[0], dates[-1]]))}."
    )


def section(table: Table, scale: Scale, records: Sequence[Record]) -> list[str]:
    """One table by one protocol; nothing for a protocol of no interest that has not been run."""
    by_row = {row.label: of_row(records, table, row, scale) for row in table.rows}
    found = [record for some in by_row.values() for record in some]
    if not found and scale not in MAIN:
        return []
    lines = [f"### {table.title}: {scale}", "", " ".join([says(table, scale), table.text]).strip(), ""]
    lines += [f"`python -m scripts.reproduce {table.name} --scale {scale}`", ""]
    if found:
        head = heading(table)
        lines += [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
        lines += [f"| {' | '.join(cells(table, row, by_row[row.label]))} |" for row in table.rows]
        lines += ["", origin(found), ""]
    else:
        lines += ["Not yet run.", ""]
    return lines


def claimed(findings: Sequence[tuple[Scale, Finding]]) -> list[str]:
    """What the runs say of claims, a paragraph and a picture each."""
    lines = ["## What the runs say of the claims", ""]
    for scale, finding in findings:
        lines += [f"**{finding.claim}** Protocol `{scale}`: {finding.text}", ""]
        if finding.png is not None:
            lines += [f"![{finding.claim}]({finding.name}-{scale}.png)", ""]
    return lines


def markdown(
    records: Sequence[Record],
    pictures: Sequence[tuple[str, str]],
    findings: Sequence[tuple[Scale, Finding]],
    command: str,
) -> str:
    """The whole document. `pictures` are pairs of a file and what it shows."""
    lines = ["# Results", "", f"`{command}`", "", INTRODUCTION, ""]
    for file, text in pictures:
        lines += [f"![{text}]({file})", "", text, ""]
    lines += claimed(findings)
    for scale in get_args(Scale):
        parts = [line for table in TABLES.values() for line in section(table, scale, records)]
        if parts:
            lines += [f"## Protocol `{scale}`", "", *parts]
    return "\n".join(lines).rstrip() + "\n"
