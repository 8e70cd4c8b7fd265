"""Compare jaxode with PyTorch and torchdiffeq in every cell of the parity map, and write the map.

    python -m scripts.parity_report --out docs/parity

Writes parity.json, parity.md and parity.png. Parts, fields, ODE blocks, whole models, updates and
training runs get the same weights on both sides; compared are outputs, gradients, steps and
evaluations. Takes about half an hour on 2 cores; --only picks cells by their names, --list prints
these. If it is interrupted, the same command goes on.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jax
from tqdm import tqdm

from jaxode.checks import shown
from jaxode.cli import process
from jaxode.cli.converters import nonempty, to_path
from jaxode.cli.parser import Parser, parse_flags
from jaxode.runs.files import make_writable
from scripts.parity.cells import cells
from scripts.parity.limits import unreachable
from scripts.parity.measure import FAIL, Row, measure
from scripts.parity.report import summary, write
from scripts.parity.training import measure_training, trainings
from scripts.unfinished import Unfinished


def selected(word: str) -> list[tuple[str, Callable[[], Row]]]:
    """Name and measure of every cell whose name holds the word."""
    found: list[tuple[str, Callable[[], Row]]] = [(c.name, lambda c=c: measure(c)) for c in cells()]
    found += [
        (f"{t.name} {t.solve.gradient if t.solve else ''}", lambda t=t: measure_training(t))
        for t in trainings()
    ]
    return [(name, work) for name, work in found if word in name]


def build_parser() -> Parser:
    """The flags."""
    parser = Parser.from_doc("python -m scripts.parity_report", __doc__)
    add = parser.add_argument
    add("--out", type=to_path, metavar="DIR", help="where the three files go")
    add(
        "--only",
        type=nonempty,
        metavar="TEXT",
        help="measure only the cells whose names hold this text",
    )
    add("--list", action="store_true", help="print the names of the cells and measure nothing")
    return parser


def left_out(out: Path, work: Sequence[tuple[str, Any]]) -> int:
    """How many cells more the map in a folder has than this one; 0 where there is no map."""
    try:
        there = json.loads((out / "parity.json").read_text(encoding="utf-8"))
        return max(0, len(there) - len(work) - len(unreachable()))
    except (OSError, ValueError, TypeError):
        return 0


@process.command("scripts.parity_report", "the same command goes on from here")
def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code: 1 if a cell fails."""
    argv = list(sys.argv[1:] if argv is None else argv)
    parser = build_parser()
    options = argparse.Namespace(**parse_flags(parser, argv))
    work = selected(options.only or "")
    if not work:
        parser.error(
            f"--only must be part of a cell's name (see --list), got {shown(options.only)}"
        )
    if options.list:
        print("\n".join(name for name, _ in work))
        return 0
    if options.out is None:
        parser.error("--out is needed")
    try:
        make_writable(options.out)
    except OSError as error:
        parser.error(f"--out: cannot write into {options.out}: {error.strerror}")
    others = left_out(options.out, work)
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
    with jax.enable_x64(True), tqdm(work, unit="cell", disable=not sys.stderr.isatty()) as bar:
        for name, measured in bar:
            bar.set_postfix_str(name)
            if name not in kept.results:
                kept.add(name, asdict(measured()))
                jax.clear_caches()  # every cell is a program of its own
    rows = [Row(**kept.results[name]) for name, _ in work] + unreachable()
    write(rows, options.out, shlex.join(["python", "-m", "scripts.parity_report", *argv]))
    kept.finish()
    for row in rows:
        if row.status == FAIL:
            print(
                f"fail: {row.subject} {row.solver} {row.gradient} {row.tolerance}: {row.reason}",
                file=sys.stderr,
            )
    print(f"{summary(rows)}; written to {options.out}")
    return int(any(row.status == FAIL for row in rows))


if __name__ == "__main__":
    raise SystemExit(main())
