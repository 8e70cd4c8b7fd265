"""Time jaxode against PyTorch with the same weights on the same batch.

    python -m scripts.benchmark --out runs/benchmark

A case is one kind of work: a training step's loss and gradient, inference, or one solve. Its sides
are compiled and warmed up, must agree in outputs, loss, gradient, steps and evaluations, and are
then timed in turn; reported are medians, and the median and ends of the ratio within a round. A
side that cannot run has a row with the reason.

Writes benchmark.json, benchmark.md and pictures. Rows are kept after every case: the same command
goes on where it was stopped, and cases measured with other settings, versions or sources are
measured again. Takes about two hours on 2 cores, --quick under three minutes. Leave the machine to
it: a row states how busy others kept it.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault(
    "XLA_PYTHON_CLIENT_PREALLOCATE", "false"
)  # the GPU is shared with torch; read once, by jax

import jax
import torch

from jaxode.checks import ConfigError, Range, shown
from jaxode.cli import process
from jaxode.cli.converters import Number, nonempty, to_path
from jaxode.cli.parser import Parser, parse_flags
from jaxode.config import BATCHES, WIDTHS, Precision
from jaxode.runs.files import make_writable
from scripts.bench import report
from scripts.bench.aims import busy
from scripts.bench.cases import COMPILED, FRAMEWORKS, JAXODE, Case, cases, quick_cases
from scripts.bench.measure import blanks, measure
from scripts.bench.rows import FAILED, Row
from scripts.settings import require_width


def build_parser() -> Parser:
    """The flags."""
    parser = Parser.from_doc("python -m scripts.benchmark", __doc__)
    add = parser.add_argument
    count = Number(int, Range(1, 10_000))
    add(
        "--out",
        type=to_path,
        default=Path("runs/benchmark"),
        metavar="DIR",
        help="where results go (runs/benchmark)",
    )
    add("--quick", action="store_true", help="few cases, small batch, 3 runs")
    add("--only", type=nonempty, metavar="TEXT", help="only the cases whose names hold this text")
    add("--list", action="store_true", help="print the names of the cases and measure nothing")
    add(
        "--runs",
        type=count,
        metavar="N",
        help="paired runs of a case (default: 10; 3 with --quick)",
    )
    add(
        "--threads",
        type=count,
        metavar="N",
        help="CPU cores to use (default: all that this process may)",
    )
    add(
        "--batch",
        type=Number(int, BATCHES),
        metavar="N",
        help="images in a step (default: 128; 32 with --quick)",
    )
    add(
        "--width",
        type=Number(int, WIDTHS),
        default=64,
        metavar="N",
        help="channels of the feature maps (default: 64)",
    )
    return parser


def checked(options: argparse.Namespace) -> list[Case]:
    """The requested cases. Raises ConfigError."""
    options.runs = options.runs if options.runs is not None else 3 if options.quick else 10
    options.batch = options.batch if options.batch is not None else 32 if options.quick else 128
    require_width(options.width)
    here = available()
    if options.threads is not None and options.threads > len(here):
        raise ConfigError(
            f"--threads must be at most {len(here)}, the cores there are, got {options.threads}"
        )
    # Before JAX starts its threads, which keep the cores that they are born with.
    options.threads = confine(options.threads)
    gpu = jax.default_backend() == "gpu"
    found = list(
        quick_cases(options.batch, options.width)
        if options.quick
        else cases(options.batch, options.width, gpu=gpu)
    )
    chosen = [case for case in found if (options.only or "") in case.name]
    if not chosen:
        raise ConfigError(
            f"--only must be part of a case's name (see --list), got {shown(options.only)}"
        )
    return chosen


def available() -> list[int]:
    """The cores that this process may use."""
    return (
        sorted(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else list(range(os.cpu_count() or 1))
    )


def confine(threads: int | None) -> int:
    """Confine both frameworks to that many cores, before they start threads; returns them."""
    here = available()
    if threads is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, here[:threads])
    count = threads or len(here)
    torch.set_num_threads(count)
    return count


def done(case: Case, rows: Sequence[Row], runs: int, threads: int) -> bool:
    """Whether rows hold this case, measured as it would be measured now and without a failure."""

    def settings(row: Row) -> tuple[Any, ...]:
        return (
            row.framework,
            row.variant,
            row.runs,
            row.threads,
            row.width,
            row.commit,
            row.versions,
        )

    found = [row for row in rows if row.case == case.name]
    wanted = [settings(row) for row in blanks(case, runs, threads).values()]
    return [settings(row) for row in found] == wanted and all(row.status != FAILED for row in found)


@process.command("scripts.benchmark", "the same command goes on from here")
def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code: 1 if a jaxode side failed, 2 for a wrong request."""
    argv = list(sys.argv[1:] if argv is None else argv)
    parser = build_parser()
    try:
        options = argparse.Namespace(**parse_flags(parser, argv))
        chosen = checked(options)
        if options.list:
            print("\n".join(case.name for case in chosen))
            return 0
        make_writable(options.out)
        rows = report.read(options.out)
    except SystemExit as stop:
        return int(stop.code or 0)
    except (ConfigError, OSError, ValueError) as error:
        return process.report(parser.prog, error, 2)
    try:
        rows = carry_out(options, chosen, rows)
        report.write(rows, options.out, shlex.join(["python", "-m", "scripts.benchmark", *argv]))
    except KeyboardInterrupt:
        print(f"{parser.prog}: stopped; the same command goes on from here", file=sys.stderr)
        return 130
    except OSError as error:
        return process.report(parser.prog, error, 1)
    print(f"{report.summary(rows)}; written to {options.out}")
    return int(any(row.status == FAILED and row.framework == FRAMEWORKS[JAXODE] for row in rows))


@contextmanager
def same_arithmetic(precision: Precision) -> Iterator[None]:
    """float32 unless the case is about TF32.

    Frameworks round TF32 differently, so that their steps could differ. Our models state their
    precision themselves; that of plain flax.nnx layers and of PyTorch is set here.
    """
    backends: tuple[Any, ...] = (torch.backends.cudnn, torch.backends.cuda.matmul)
    before = [backend.allow_tf32 for backend in backends]
    for backend in backends:
        backend.allow_tf32 = precision == "tf32"
    try:
        with jax.default_matmul_precision("float32"):
            yield
    finally:
        for backend, allowed in zip(backends, before, strict=True):
            backend.allow_tf32 = allowed


def carry_out(options: argparse.Namespace, chosen: Sequence[Case], rows: list[Row]) -> list[Row]:
    """Measure the cases that have no rows yet, stored after each; returns all rows."""
    threads = options.threads
    begin = time.perf_counter()
    for number, case in enumerate(chosen, 1):
        title = f"[{number}/{len(chosen)}] {case.name}"
        if done(case, rows, options.runs, threads):
            print(f"{title}: kept from {options.out / report.RESULTS}", file=sys.stderr, flush=True)
            continue
        with same_arithmetic(case.precision):
            fresh = measure(case, options.runs, threads)
        rows = [row for row in rows if row.case != case.name] + fresh
        report.store(rows, options.out)
        clock = time.perf_counter() - begin
        print(
            f"{title}: {'; '.join(report.brief(row) for row in fresh)} ({clock:.0f} s)",
            file=sys.stderr,
            flush=True,
        )
        if busy(fresh[0]):
            print(
                f"warning: others kept {fresh[0].others_busy:.1f} cores busy: the times are not"
                " reliable",
                file=sys.stderr,
            )
        jax.clear_caches()  # every case is a program of its own
        if COMPILED in case.rivals:
            torch.compiler.reset()
    return rows


if __name__ == "__main__":
    raise SystemExit(main())
