"""Compare jaxode with plain torchdiffeq: every solver, gradient, kind of state and of times.

    python -m scripts.plain_parity --out docs/parity

Writes plain.json and plain.md. Takes about an hour on 2 cores; --only picks cells by their names,
--list prints these. If it is interrupted, the same command goes on.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict

import jax
from tqdm import tqdm

from jaxode.cli import process
from jaxode.cli.parser import Parser, parse_flags
from jaxode.runs.files import write_json, write_whole
from jaxode.runs.provenance import origin, versions_text
from scripts.parity.command import begin, map_parser
from scripts.parity.measure import FAIL
from scripts.parity.plain import PlainRow, markdown, measure, summary
from scripts.parity.plain_cells import plain_cells

RESULTS = "plain.json"
PACKAGES = ("jax", "diffrax", "numpy", "torch", "torchdiffeq")


def build_parser() -> Parser:
    """The flags."""
    return map_parser("python -m scripts.plain_parity", __doc__)


@contextmanager
def everywhere_x64() -> Iterator[None]:
    """Float64 in all threads: `jax.enable_x64` does not reach those that run callbacks."""
    before = jax.config.jax_enable_x64  # type: ignore[attr-defined]
    jax.config.update("jax_enable_x64", True)
    try:
        yield
    finally:
        jax.config.update("jax_enable_x64", before)


@process.command("scripts.plain_parity", "the same command goes on from here")
def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code: 1 if a cell fails."""
    argv = list(sys.argv[1:] if argv is None else argv)
    parser = build_parser()
    options = argparse.Namespace(**parse_flags(parser, argv))
    chosen = [cell for cell in plain_cells() if (options.only or "") in cell.name]
    kept = begin(parser, options, [cell.name for cell in chosen], RESULTS)
    if kept is None:
        return 0
    with everywhere_x64(), tqdm(chosen, unit="cell", disable=not sys.stderr.isatty()) as bar:
        for number, cell in enumerate(bar):
            if cell.name not in kept.results:
                kept.add(cell.name, asdict(measure(cell)))
            if number % 2:
                jax.clear_caches()  # two neighbours share a program
    rows = [PlainRow(**kept.results[cell.name]) for cell in chosen]
    measured = origin(shlex.join(["python", "-m", "scripts.plain_parity", *argv]), *PACKAGES)
    versions = versions_text(measured["versions"], ("python", *PACKAGES))
    facts = f"`{measured['command']}`, {measured['date']}, {measured['device']}, {versions}"
    write_json(options.out / RESULTS, [asdict(row) for row in rows])
    write_whole(options.out / "plain.md", markdown(rows, facts))
    kept.finish()
    for row in rows:
        if row.status == FAIL:
            print(f"fail: {row.name}: {row.reason}", file=sys.stderr)
    print(f"{summary(rows)}; written to {options.out}")
    return int(any(row.status == FAIL for row in rows))


if __name__ == "__main__":
    raise SystemExit(main())
