"""Check and measure jaxode on a machine with an NVIDIA GPU, in a given number of minutes.

    python -m scripts.gpu_check --minutes 10 --out runs/gpu_check
    python -m scripts.gpu_check --data-dir data --table fashion_mnist   # trains a published row too
    python -m scripts.gpu_check --tiny   # a rehearsal on a CPU

In order of worth: every gradient mode and precision against the CPU in float64, and short trainings
of each; cells of the parity map against PyTorch; jit and pmap on all GPUs; the benchmark's cases
against PyTorch and torchdiffeq; time from start to first step; and for the rest of the time a
training. Each part is a process of its own, and its rows are stored as they are found: a failure
or the end of the time loses nothing. Writes gpu_check.json, gpu_check.md, and the benchmark's own
files into the folder benchmark. docs/performance.md lists what has to be installed.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from jaxode.checks import ConfigError, Range, shown
from jaxode.cli import process
from jaxode.cli.converters import Choice, Number, nonempty, to_path
from jaxode.cli.parser import Parser, parse_flags
from jaxode.runs.files import make_writable
from jaxode.runs.provenance import cores
from scripts.gpu import children, report, training
from scripts.gpu.children import Ended
from scripts.gpu.parts import PARTS, Part
from scripts.gpu.row import FULL, TINY, Row
from scripts.tables.rows import TABLES

PROG = "python -m scripts.gpu_check"
TRAINING = "training"
RESERVE = 20.0
"""Seconds at the end, for the training to store its state."""


def build_parser() -> Parser:
    """The flags."""
    parser = Parser.from_doc(PROG, __doc__)
    add = parser.add_argument
    add("--out", type=to_path, default=Path("runs/gpu_check"), metavar="DIR",
        help="where results go (runs/gpu_check)")  # fmt: skip
    add("--minutes", type=Number(float, Range(0.1, 10_000)), default=10.0, metavar="N",
        help="in all (default: 10)")  # fmt: skip
    add("--only", type=nonempty, metavar="TEXT",
        help=f"only parts whose names hold this text: {', '.join(p.name for p in PARTS)},"
        f" {TRAINING}")  # fmt: skip
    add("--data-dir", type=to_path, metavar="DIR",
        help="folder with original files, for the training (default: bundled images)")  # fmt: skip
    add("--table", type=Choice(tuple(TABLES)), default="cifar10", metavar="NAME",
        help="the published table that is trained, as scripts.reproduce names it")  # fmt: skip
    add("--row", type=nonempty, default="ODENet", metavar="TEXT",
        help="its rows whose label contains this text, one after the other")  # fmt: skip
    add("--tiny", action="store_true", help="small problems, to rehearse on a CPU")
    return parser


def checked(options: argparse.Namespace) -> list[str]:
    """Names of the requested parts. Raises ConfigError."""
    names = [*(part.name for part in PARTS), TRAINING]
    chosen = [name for name in names if (options.only or "") in name]
    if not chosen:
        raise ConfigError(f"--only must be in one of {', '.join(names)}, got {shown(options.only)}")
    if not options.tiny and shutil.which("nvidia-smi") is None:
        raise ConfigError("no NVIDIA driver is installed (nvidia-smi); --tiny rehearses on a CPU")
    return chosen


@process.command("scripts.gpu_check", "what was found is stored")
def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code: 1 if a check fails, 2 for a wrong request."""
    parser = build_parser()
    options = argparse.Namespace(**parse_flags(parser, argv))
    try:
        chosen = checked(options)
        for folder in ("rows", "logs", "runs"):
            make_writable(options.out / folder)
    except (ConfigError, OSError) as error:
        return process.report(parser.prog, error, 2)
    ended = carry_out(options, chosen)
    rows = found(options, ended)
    print(f"{report.summary(ended, rows)}; written to {options.out}")
    return int(report.failures(ended, rows) > 0)


def carry_out(options: argparse.Namespace, chosen: Sequence[str]) -> list[Ended]:
    """Run the parts, those that only check side by side; the results are written after each."""
    begin = time.monotonic()
    end = begin + 60 * options.minutes - RESERVE * (TRAINING in chosen)
    share = options.minutes / 10
    parts = [part for part in PARTS if part.name in chosen]
    checks = [part for part in parts if not part.timed]
    ended: list[Ended] = []

    def run(group: Sequence[Part], together: int, later: Sequence[Part]) -> None:
        if group:
            own = share * max(part.seconds for part in group)
            reserved = share * sum(part.seconds for part in later)
            until = min(end - reserved, time.monotonic() + own)
            commands = [(part.name, words(part, options)) for part in group]
            ended.extend(children.run(commands, options.out / "logs", until, together))
            found(options, ended)
            say(begin, ended[-len(group) :])

    timed = [part for part in parts if part.timed]
    run(checks, max(1, cores() // 2), timed)
    for number, part in enumerate(timed, 1):
        run([part], 1, timed[number:])
    if TRAINING in chosen:
        size = TINY if options.tiny else FULL
        given = options.data_dir, options.table, options.row
        command = training.command(options.out / "runs", *given, size)
        ended += children.run([(TRAINING, command)], options.out / "logs", end)
        say(begin, ended[-1:])
    return ended


def words(part: Part, options: argparse.Namespace) -> list[str]:
    """The command of a part's process."""
    tiny = ["tiny"] * options.tiny
    return [sys.executable, "-m", "scripts.gpu", part.name, str(options.out), *tiny]


def found(options: argparse.Namespace, ended: Sequence[Ended]) -> list[Row]:
    """The rows of the parts that have ended; they are written as well."""
    origin, rows = None, list[Row]()
    for name in (part.name for part in ended):
        head, more = children.read(options.out / "rows" / f"{name}.jsonl")
        origin, rows = origin or head, rows + more
    rows += training.rows(options.out / "runs")
    report.write(options.out, origin, ended, rows)
    return rows


def say(begin: float, ended: Sequence[Ended]) -> None:
    """How parts ended, one a line."""
    for part in ended:
        note = f": {part.note}" if part.note else ""
        print(
            f"[{time.monotonic() - begin:4.0f} s] {part.name}: {part.status}{note}",
            file=sys.stderr,
            flush=True,
        )


if __name__ == "__main__":
    raise SystemExit(main())
