"""Compare jaxode with PyTorch and torchdiffeq in every cell of the parity map, and write the map.

    python -m scripts.parity_report --out docs/parity

Writes parity.json, parity.md and parity.png. Parts, fields, ODE blocks, whole models, updates and
training runs get the same weights on both sides; compared are outputs, gradients, steps and
evaluations. Takes about half an hour on 2 cores; --only picks cells by their names, --list prints
these. If it is interrupted, the same command goes on.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict

import jax
from tqdm import tqdm

from jaxode.cli import process
from jaxode.cli.parser import Parser, parse_flags
from scripts.parity.cells import cells
from scripts.parity.command import begin, map_parser
from scripts.parity.limits import unreachable
from scripts.parity.measure import FAIL, Row, measure
from scripts.parity.report import RESULTS, summary, write
from scripts.parity.training import measure_training, trainings


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
    return map_parser("python -m scripts.parity_report", __doc__)


@process.command("scripts.parity_report", "the same command goes on from here")
def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code: 1 if a cell fails."""
    argv = list(sys.argv[1:] if argv is None else argv)
    parser = build_parser()
    options = argparse.Namespace(**parse_flags(parser, argv))
    work = selected(options.only or "")
    kept = begin(parser, options, [name for name, _ in work], RESULTS, len(unreachable()))
    if kept is None:
        return 0
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
