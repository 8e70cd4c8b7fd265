"""The flags of torch_ref.train."""

from __future__ import annotations

import argparse
import math
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from torch_ref.solve import FIXED_STEP
from torch_ref.updates import OPTIMIZERS, SCHEDULES

WRONG_REQUEST = 2
"""Exit code."""

LONGEST_MISTAKE, LONGEST_VALUE = 500, 60

METHODS = ("bosh3", "dopri5", "dopri8", *FIXED_STEP)


NUMBERS = {
    int: re.compile(r"[+-]?[0-9]{1,30}"),
    float: re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?", re.IGNORECASE),
}
"""How numbers are written.

Python's own int and float take digits of all scripts, underscores and "infinity" too.
"""


def one_line(error: object) -> str:
    """An error's message in one line of printable characters."""
    text = " ".join(str(error).split())
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


class Parser(argparse.ArgumentParser):
    """An argument parser that answers a mistake with exactly one line."""

    def error(self, message: str) -> NoReturn:
        """Print the line and exit with code 2."""
        short = message if len(message) <= LONGEST_MISTAKE else f"{message[:LONGEST_MISTAKE]}..."
        print(f"{self.prog}: error: {one_line(short)}", file=sys.stderr)
        raise SystemExit(WRONG_REQUEST)


def number(kind: type, low: float, high: float) -> Callable[[str], Any]:
    """Text to a number from `low` to `high`."""

    def convert(text: str) -> Any:
        value = kind(text) if NUMBERS[kind].fullmatch(text) else math.nan
        if not low <= value <= high:
            wanted = f"a {'whole ' if kind is int else ''}number from {low:.10g} to {high:.10g}"
            got = text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}..."
            raise argparse.ArgumentTypeError(f"must be {wanted}, got {got!r}")
        return value

    return convert


def rising(text: str) -> tuple[int, ...]:
    """Text to rising whole numbers, joined by commas."""
    words = text.split(",")
    numbers = tuple(int(word) for word in words if re.fullmatch(r"[0-9]{1,12}", word))
    if len(numbers) != len(words) or list(numbers) != sorted(set(numbers)):
        wanted = "rising whole numbers, joined by commas"
        raise argparse.ArgumentTypeError(f"must be {wanted}, got {text[:LONGEST_VALUE]!r}")
    return numbers


def path(text: str) -> Path:
    """Text to a path, which is not empty and has no NUL character."""
    if not text or "\0" in text:
        raise argparse.ArgumentTypeError(f"must be a path, got {text[:LONGEST_VALUE]!r}")
    return Path(text)


def build_parser(doc: str) -> Parser:
    """The flags; where jaxode has the same setting, with its default. `doc` is the help's text."""
    summary, _, rest = doc.partition("\n")
    parser = Parser(
        prog="python -m torch_ref.train",
        usage="%(prog)s --weights FILE --batches FILE [flags]",
        description=summary,
        epilog=rest,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    tolerance, rate, count = (
        number(float, 1e-16, 1e3),
        number(float, 1e-37, 1e38),
        number(int, 1, 10**9),
    )
    add = parser.add_argument
    add(
        "--weights",
        type=path,
        required=True,
        metavar="FILE",
        help="state_dict in a .pt or .pth file",
    )
    add("--batches", type=path, required=True, metavar="FILE", help=".npz of images and labels")
    add(
        "--method",
        choices=METHODS,
        default="dopri5",
        help="torchdiffeq's name of the solver (default: dopri5)",
    )
    add(
        "--rtol",
        type=tolerance,
        default=1e-3,
        metavar="X",
        help="relative tolerance (default: 0.001)",
    )
    add(
        "--atol",
        type=tolerance,
        default=1e-3,
        metavar="X",
        help="absolute tolerance (default: 0.001)",
    )
    add(
        "--step-size",
        type=number(float, 1e-5, 1),
        metavar="X",
        help="of the fixed-step methods, which need it",
    )
    add(
        "--adjoint",
        action="store_true",
        help="gradient by the adjoint ODE instead of through the steps",
    )
    add(
        "--adjoint-norm",
        choices=("full", "seminorm"),
        default="full",
        help="error norm of the adjoint solve",
    )
    add(
        "--stop-at-ends",
        action="store_true",
        help="end the last step of a solve on its end, not past it",
    )
    add(
        "--constant-first-step",
        action="store_true",
        help="no gradient through the choice of the first step",
    )
    add("--optimizer", choices=OPTIMIZERS, default="sgd", help="torch.optim's (default: sgd)")
    add(
        "--lr",
        type=rate,
        metavar="X",
        help="learning rate at the start (default: 0.1; 0.001 for adam, adamw)",
    )
    add(
        "--momentum",
        type=number(float, 0, 1),
        default=0.9,
        metavar="X",
        help="of sgd (default: 0.9)",
    )
    add(
        "--weight-decay", type=number(float, 0, 1e38), default=0.0, metavar="X", help="(default: 0)"
    )
    add(
        "--schedule", choices=SCHEDULES, default="step", help="of the learning rate (default: step)"
    )
    add(
        "--total-steps",
        type=count,
        metavar="N",
        help="steps that the schedule spans (default: those of this run)",
    )
    add(
        "--milestones",
        type=rising,
        default=(),
        metavar="N,N,...",
        help="of schedule milestones, which needs them: steps at which the rate is divided by ten",
    )
    add("--epochs", type=count, default=1, metavar="N", help="passes over the batches (default: 1)")
    add("--float64", action="store_true", help="compute in float64 instead of float32")
    add(
        "--out",
        type=path,
        metavar="FILE",
        help="write one JSON object a step into this file, however the run ends",
    )
    add("--quiet", action="store_true", help="print only the summary")
    return parser


def parsed(parser: Parser, argv: Sequence[str] | None) -> argparse.Namespace:
    """The options of a command line. Exits with code 2 and one line on a mistake."""
    for word in sys.argv[1:] if argv is None else argv:
        if word.startswith("--") and word.partition("=")[2] == "--":
            # argparse makes an empty list of it
            parser.error(f"{word.partition('=')[0]}: expected one argument")
    return parser.parse_args(argv)
