"""What the commands of the two maps share: their flags, which cells, where the files go."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from jaxode.checks import shown
from jaxode.cli.converters import nonempty, to_path
from jaxode.cli.parser import Parser
from jaxode.runs.files import make_writable
from scripts.unfinished import Unfinished


def map_parser(prog: str, doc: str | None) -> Parser:
    """A parser of --out, --only and --list."""
    parser = Parser.from_doc(prog, doc)
    add = parser.add_argument
    add("--out", type=to_path, metavar="DIR", help="where the files go")
    add(
        "--only",
        type=nonempty,
        metavar="TEXT",
        help="measure only the cells whose names hold this text",
    )
    add("--list", action="store_true", help="print the names of the cells and measure nothing")
    return parser


def begin(
    parser: Parser, options: argparse.Namespace, names: Sequence[str], file: str, beside: int = 0
) -> Unfinished | None:
    """What an interrupted report has left in the folder; None if only the names were asked for.

    Ends with exit code 2 and one line where the request is wrong.

    Args:
      parser: of the command.
      options: its flags.
      names: of the chosen cells.
      file: name of the map's JSON file in --out.
      beside: rows of the map that are no cells.
    """
    if not names:
        parser.error(
            f"--only must be part of a cell's name (see --list), got {shown(options.only)}"
        )
    if options.list:
        print("\n".join(names))
        return None
    if options.out is None:
        parser.error("--out is needed")
    try:
        make_writable(options.out)
    except OSError as error:
        parser.error(f"--out: cannot write into {options.out}: {error.strerror}")
    others = left_out(options.out / file, len(names) + beside)
    if others:
        parser.error(
            f"--only leaves out {others} cells of the map in {options.out}: give another --out"
        )
    kept = Unfinished(options.out)
    if kept.results:
        print(
            f"{len(kept.results)} cells are there from a report that was interrupted",
            file=sys.stderr,
        )
    return kept


def left_out(path: Path, rows: int) -> int:
    """How many rows more a map on disk has; 0 where there is no map."""
    try:
        return max(0, len(json.loads(path.read_text(encoding="utf-8"))) - rows)
    except (OSError, ValueError, TypeError):
        return 0
