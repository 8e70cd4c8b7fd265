"""Turn records of runs into the published tables with our numbers, and pictures.

    python -m scripts.report                                # from runs/reproduce into docs/results
    python -m scripts.report runs/reproduce gpu/runs --out docs/results

Complete runs of the given directories are added to the records of --out (records/*.json, one a run;
the same run again replaces its record); the tables and pictures are made of all records there. Runs
of other settings than those of a row are named and left out.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from jaxode.checks import ConfigError
from jaxode.cli import process
from jaxode.cli.converters import to_path
from jaxode.cli.parser import Parser, parse_flags
from jaxode.runs import make_writable
from jaxode.runs.files import write_whole
from scripts.reproduce import RUNS
from scripts.tables.analyses import Finding, growth, learning, second_block, worth
from scripts.tables.asl import confusions, rate, reflections
from scripts.tables.document import markdown
from scripts.tables.pictures import draw
from scripts.tables.protocols import Scale, identity, settings
from scripts.tables.records import Record, keep, of_run, read
from scripts.tables.rows import TABLES

RESULTS = Path("docs/results")
SHOWN: tuple[Scale, ...] = ("full", "cpu")
"""Protocols whose runs are drawn."""


def known() -> dict[str, set[int | None]]:
    """Identities of the runs of all rows by all protocols, with the images they may have.

    None: any number.
    """
    found: dict[str, set[int | None]] = {}
    for table in TABLES.values():
        for row in table.rows:
            for scale in get_args(Scale):
                found.setdefault(identity(settings(table, row, scale)), set()).add(
                    table.images.get(scale)
                )
    return found


def collected(runs: Sequence[Path]) -> tuple[list[Record], list[str]]:
    """Records of the complete runs below directories, and the others, each with the reason."""
    rows, found, others = known(), [], []
    for folder in runs:
        for directory in sorted(path.parent for path in folder.glob("*/result.json")):
            try:
                record = of_run(directory)
            except ConfigError as error:
                others.append(f"its files are damaged: {error}")
                continue
            if record is None:
                continue
            counts = rows.get(identity(record.config))
            if record.lacking:
                others.append(f"its result has no {record.lacking[0]}: {directory}")
            elif counts is None:
                others.append(f"it is of no row: {directory}")
            elif not counts & {None, record.images}:
                wanted = " or ".join(f"{count:,}" for count in sorted(filter(None, counts)))
                others.append(
                    f"it is of {record.images:,} images, and its row of {wanted}: {directory}"
                )
            else:
                found.append(record)
    return found, others


def written(records: Sequence[Record], out: Path, command: str) -> list[str]:
    """Write the document and its pictures; returns the names of the files. Raises OSError."""
    pictures: list[tuple[str, str]] = []
    findings: list[tuple[Scale, Finding]] = []
    names = []
    for scale in SHOWN:
        panels = learning(records, scale)
        if panels:
            pictures.append(
                (f"learning-{scale}.png", f"Test error over the epochs, protocol {scale}.")
            )
            write_whole(out / pictures[-1][0], draw(panels, logarithmic=True))
            names.append(pictures[-1][0])
        for find in (growth, second_block, worth, rate, reflections):
            finding = find(records, scale)
            findings.append((scale, finding))
            if finding.png:
                names.append(f"{finding.name}-{scale}.png")
                write_whole(out / names[-1], finding.png)
        for name, text, png in confusions(records, scale):
            pictures.append(
                (
                    f"{name}-{scale}.png",
                    f"{text}: confusion matrix, protocol {scale}.",
                )
            )
            write_whole(out / pictures[-1][0], png)
            names.append(pictures[-1][0])
    write_whole(out / "README.md", markdown(records, pictures, findings, command))
    return ["README.md", *names]


def build_parser() -> Parser:
    """The command line."""
    parser = Parser.from_doc(
        "python -m scripts.report", __doc__, usage="%(prog)s [RUNS ...] [--out DIR]"
    )
    parser.add_argument(
        "runs",
        type=to_path,
        nargs="*",
        metavar="RUNS",
        help=f"directories of runs (default: {RUNS})",
    )
    parser.add_argument(
        "--out", type=to_path, default=RESULTS, metavar="DIR", help=f"default: {RESULTS}"
    )
    return parser


@process.command("scripts.report")
def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = build_parser()
    try:
        values = parse_flags(parser, words)
        out, runs = values["out"], values["runs"]
        for folder in runs:
            if not folder.is_dir():
                raise ConfigError(f"RUNS must be directories, and {folder} is none")
        found, others = collected(runs or [RUNS])
        for reason in others:
            print(f"left out, for {reason}", file=sys.stderr)
        if not (found or any((out / "records").glob("*.json"))):
            where = ", ".join(map(str, runs or [RUNS]))
            raise ConfigError(
                f"there is nothing to report: no complete run in {where}, and no record in"
                f" {out}/records"
            )
        make_writable(out / "records")
        for record in found:
            keep(record, out / "records")
        records = read(out / "records")
        names = written(records, out, shlex.join(["python", "-m", "scripts.report", *words]))
    except SystemExit as stop:
        return int(stop.code or 0)
    except (ConfigError, OSError) as error:
        return process.report(parser.prog, error, 2)
    print(f"{len(found)} runs found, {len(records)} records; written to {out}: {', '.join(names)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
