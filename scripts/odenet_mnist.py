"""Compare the first losses of odenet_mnist.py's protocol in jaxode and in torchdiffeq.

    python -m scripts.odenet_mnist --steps 100 --data sample
    python -m scripts.odenet_mnist --steps 100 --data sample --model resnet \
        --downsampling-method res

Four programs run one after the other, in float64 and with equal flags: scripts.export_for_torch
writes initial weights and batches, torch_ref.odenet_mnist trains on them with plain torchdiffeq,
and once more with every weight moved by one rounding before every step and sums in other orders,
and experiments.mnist trains by itself; each prints the loss of every step. The settings that the
script has as flags can be given, and how large model and data are; evaluations are left out, for
they change no step.

The losses of a step are equal if they differ by at most 1e-12 of their size. If they do not, they
are compared with torchdiffeq's own two losses: rounding grows from step to step, and by some
thousands in one where it moves a number past 0 before a ReLU. The code is 0 if jaxode's losses are
equal, or from torchdiffeq's at most 30 times as far as those came apart up to that step, else 1.
"""

from __future__ import annotations

import contextlib
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxode.checks import COUNTS, ConfigError
from jaxode.cli import process
from jaxode.cli.converters import Number
from jaxode.cli.flags import flag_of
from jaxode.cli.parser import Parser, parse_flags
from jaxode.config import RunConfig
from scripts.settings import settings, settings_parser

LIMIT = 1e-12
"""Largest relative difference of two equal losses: rounding, carried on by the steps."""

SHARE = 30.0
"""How much more the sides may differ than torchdiffeq and itself when it is rounded anew.

A step is some hundred operations, each of which the sides round for themselves; rounding anew moves
a few of them. The largest ratio seen was 12.5 (batches of 128). A formula that differs is seen in
the first steps, where rounding is 1e-16 and 1e-12 the bound."""

PROTOCOL = "odenet_mnist"
ITS_FLAGS = (
    "model",
    "downsampling_method",
    "rtol",
    "atol",
    "gradient",
    "crop",
    "lr",
    "batch_size",
    "epochs",
)
"""Settings that odenet_mnist.py has as flags."""

OF_ANY_RUN = (
    "data",
    "data_dir",
    "limit_train",
    "seed",
    "width",
    "blocks",
    "max_steps",
    "tape_steps",
    "feed",
    "kernels",
    "devices",
)
"""Settings that both programs get by the same weights and batches, or that change no result."""

WITHOUT_EVALUATION = {"limit_test": 8, "eval_batch_size": 8, "train_evaluation": "last"}

LOSS = re.compile(r"step (\d+): loss (\S+)")


def flags_of(values: dict[str, Any]) -> list[str]:
    """Settings as the flags of a command."""
    words = []
    for name, value in values.items():
        words += [flag_of(name)] if value is True else [flag_of(name), str(value)]
    return words


def printed(words: Sequence[str], folder: Path) -> Generator[str]:
    """The lines that a program prints; it is ended where no more are read.

    Raises ConfigError, with the last line of its errors, if it fails by itself.
    """
    with open(folder / "errors", "w+", encoding="utf-8") as errors:
        program = [sys.executable, "-m", *words]
        with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=errors, text=True) as running:
            assert running.stdout is not None
            try:
                yield from running.stdout
            finally:
                running.terminate()  # nothing, if it has ended
        errors.seek(0)
        if running.returncode > 0:
            reason = (errors.read().splitlines() or ["it says nothing"])[-1]
            raise ConfigError(f"{words[0]} ended with code {running.returncode}: {reason}")


def losses(words: Sequence[str], count: int, folder: Path) -> list[float]:
    """The first losses that a program prints. Raises ConfigError if there are fewer."""
    found: list[float] = []
    with contextlib.closing(printed(words, folder)) as lines:
        for line in lines:
            match = LOSS.match(line)
            found += [] if match is None else [float(match[2])]
            if len(found) == count:
                return found
    raise ConfigError(f"{words[0]} printed {len(found)} losses of {count}")


class Losses(NamedTuple):
    """What the programs print for one step."""

    ours: float
    theirs: float
    rounded: float
    """torchdiffeq's, rounded anew."""

    @property
    def difference(self) -> float:
        """Of jaxode and torchdiffeq, relative."""
        return difference(self.ours, self.theirs)

    @property
    def by_rounding(self) -> float:
        """Of torchdiffeq and itself, relative."""
        return difference(self.rounded, self.theirs)


def compared(values: dict[str, Any], config: RunConfig, count: int) -> list[Losses]:
    """Losses of jaxode and of torchdiffeq, step by step. Raises ConfigError."""
    given = {**values, **WITHOUT_EVALUATION, "protocol": PROTOCOL, "precision": "float64"}
    # Of the sample fewer epochs would be the default.
    flags = flags_of({**given, "epochs": config.epochs})
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        handed = folder / "handed"
        export = ["scripts.export_for_torch", *flags, "--batches", str(count)]
        (command,) = printed([*export, "--out", str(handed)], folder)
        words = shlex.split(command)
        total = int(words[words.index("--total-steps") + 1])
        theirs = ["torch_ref.odenet_mnist", "--float64", "--tol", repr(config.solve.rtol)]
        theirs += ["--weights", str(handed / "weights.pt")]
        theirs += ["--batches", str(handed / "batches.npz")]
        theirs += ["--lr", repr(config.optim.lr)]
        theirs += ["--batches-per-epoch", str(total // config.epochs)]
        theirs += ["--adjoint"] if config.solve.gradient_facts.backward_solve else []
        ours = ["experiments.mnist", *flags, "--losses", str(count), "--quiet"]
        ours += ["--out", str(folder / "run")]
        programs = (ours, theirs, [*theirs, "--round-anew", "0"])
        return [
            Losses(*found)
            for found in zip(*(losses(words, count, folder) for words in programs), strict=True)
        ]


def verdict(steps: Sequence[Losses]) -> tuple[bool, str]:
    """Whether nothing but rounding parts the sides, and what is said of it."""
    largest = 0.0
    parted = None
    for number, step in enumerate(steps, 1):
        largest = max(largest, step.by_rounding)
        if step.difference > max(LIMIT, SHARE * largest):
            return False, f"not equal, from step {number}"
        if step.difference > LIMIT and parted is None:
            parted = number
    if parted is None:
        return True, "equal"
    return True, f"equal up to step {parted - 1}, from there by as much as rounding parts them"


def table(steps: Sequence[Losses]) -> str:
    """A line for each step, and the largest differences."""
    lines = [f"{'step':>4}  {'jaxode':<20}  {'torchdiffeq':<20}  difference  by rounding"]
    lines += [
        f"{number:4}  {step.ours:<20.17g}  {step.theirs:<20.17g}  {step.difference:<10.1e}"
        f"  {step.by_rounding:.1e}"
        for number, step in enumerate(steps, 1)
    ]
    worst = max(step.difference for step in steps)
    own = max(step.by_rounding for step in steps)
    lines.append(
        f"{len(steps)} losses, largest relative difference {worst:.1e}, of torchdiffeq and itself,"
        f" rounded anew, {own:.1e}: {verdict(steps)[1]}"
    )
    return "\n".join(lines)


def difference(ours: float, theirs: float) -> float:
    """Relative difference of two losses."""
    return abs(ours - theirs) / abs(theirs)


def build_parser() -> Parser:
    """The flags."""
    parser = settings_parser("python -m scripts.odenet_mnist", "--steps N [flags]", __doc__ or "")
    parser.add_argument(
        "--steps", type=Number(int, COUNTS), required=True, metavar="N", help="how many losses"
    )
    return parser


def checked(values: dict[str, Any]) -> RunConfig:
    """The settings of the run. Raises ConfigError for those that odenet_mnist.py does not have."""
    for name in values:
        if name not in (*ITS_FLAGS, *OF_ANY_RUN):
            raise ConfigError(f"{flag_of(name)} must be left out: odenet_mnist.py has none of it")
    config = settings({**values, "protocol": PROTOCOL, "precision": "float64"})
    if config.solve.rtol != config.solve.atol:
        raise ConfigError(
            f"--atol must be --rtol, for odenet_mnist.py has one tolerance, got {config.solve.atol}"
        )
    return config


@process.command("scripts.odenet_mnist")
def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = build_parser()
    try:
        values = parse_flags(parser, argv)
        count = values.pop("steps")
        config = checked(values)
        steps = compared(values, config, count)
    except SystemExit as stop:
        return int(stop.code or 0)
    except (ConfigError, OSError) as error:
        return process.report(parser.prog, error, 2)
    print(table(steps))
    return 0 if verdict(steps)[0] else 1


if __name__ == "__main__":
    raise SystemExit(main())
