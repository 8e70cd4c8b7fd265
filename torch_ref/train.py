r"""Train given weights on given batches with PyTorch and torchdiffeq.

    python -m torch_ref.train --weights exported/weights.pt --batches exported/batches.npz \
        --optimizer sgd --lr 0.1

The weights are a state_dict laid out as in torchdiffeq's odenet_mnist.py; kind, blocks, width and
classes of the model follow from it. The batches are a .npz of `images` [N, B, H, W, C], ready for
the model, and `labels` [N, B]. scripts.export_for_torch writes both for a run of jaxode, with the
command that repeats its first steps here.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import re
import secrets
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import nn

from torch_ref.inputs import Batch, load
from torch_ref.solve import FIXED_STEP, Settings
from torch_ref.updates import OPTIMIZERS, SCHEDULES, Step, make_optimizer, make_schedule, train

METHODS = ("bosh3", "dopri5", "dopri8", *FIXED_STEP)
FAILED, WRONG_REQUEST, INTERRUPTED = 1, 2, 130
LONGEST_MISTAKE, LONGEST_VALUE = 500, 60

NUMBERS = {
    int: re.compile(r"[+-]?[0-9]{1,30}"),
    float: re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?", re.IGNORECASE),
}
"""How numbers are written.

Python's own int and float take digits of all scripts, underscores and "infinity" too.
"""


def cost_line(title: str, step: Step) -> str:
    """The cost of one step, in the words of jaxode's report of a first step."""
    solves = [
        f"{nfe} function evaluations a forward solve ({tried - rejected} accepted and {rejected}"
        " rejected steps)"
        for nfe, tried, rejected in zip(step.nfe, step.steps, step.rejected, strict=True)
    ]
    if len(solves) > 1:
        solves = [f"block {number}: {text}" for number, text in enumerate(solves, 1)]
    return f"{title}: {', '.join([*solves, f'loss {step.loss:.4f}'])}"


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


def build_parser() -> Parser:
    """The flags; where jaxode has the same setting, with its default."""
    summary, _, rest = (__doc__ or "").partition("\n")
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


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code.

    0, 1 for a failed run, 2 for a wrong request, 130 after Ctrl-C.
    """
    parser = build_parser()
    try:
        options = parsed(parser, argv)
        if (options.method in FIXED_STEP) != (options.step_size is not None):
            verb = "needs" if options.method in FIXED_STEP else "takes no"
            parser.error(f"--method {options.method} {verb} --step-size")
        if (options.schedule == "milestones") != bool(options.milestones):
            verb = "needs" if options.schedule == "milestones" else "takes no"
            parser.error(f"--schedule {options.schedule} {verb} --milestones")
        if options.adjoint_norm != "full" and not options.adjoint:
            parser.error("--adjoint-norm needs --adjoint")
        if options.stop_at_ends and options.method in FIXED_STEP:
            parser.error(f"--stop-at-ends is for adaptive methods, got --method {options.method}")
        if options.out and not os.path.isdir(options.out.parent):
            parser.error(f"--out must lie in a folder that exists, got {options.out}")
    except SystemExit as stop:
        return int(stop.code or 0)
    settings = Settings(
        method=options.method,
        rtol=options.rtol,
        atol=options.atol,
        step_size=options.step_size,
        adjoint=options.adjoint,
        adjoint_norm=None if options.adjoint_norm == "full" else options.adjoint_norm,
        stop_at_ends=options.stop_at_ends,
        constant_first_step=options.constant_first_step,
    )
    try:
        dtype = torch.float64 if options.float64 else torch.float32
        model, batches = load(options.weights, options.batches, settings, dtype)
    except (ValueError, OSError) as error:
        print(f"{parser.prog}: error: {one_line(error)}", file=sys.stderr)
        return WRONG_REQUEST
    try:
        carry_out(options, model, batches)
    except (ArithmeticError, AssertionError, OSError) as error:
        # torchdiffeq asserts that a step can still shrink.
        what = "a solve failed, torchdiffeq says: " if isinstance(error, AssertionError) else ""
        print(f"{parser.prog}: error: {what}{one_line(error)}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print(f"{parser.prog}: error: interrupted", file=sys.stderr)
        return INTERRUPTED
    return 0


def write_whole(path: Path, text: str) -> None:
    """Put text into a file, whole or not at all, following no symlink. Raises OSError."""
    temporary = path.with_name(f".{path.name}.unfinished-{secrets.token_hex(8)}")
    try:
        with open(temporary, "x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except FileExistsError:  # it is not ours
        raise
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def carry_out(options: argparse.Namespace, model: nn.Sequential, batches: list[Batch]) -> None:
    """Train, print each step, and write the steps to --out, also after an error.

    Args:
      options: of the command line.
      model: with the initial weights.
      batches: images and labels, used in this order in every epoch.

    Raises:
      ArithmeticError: a loss is not finite.
    """
    lr = options.lr or (0.1 if options.optimizer == "sgd" else 1e-3)
    total = options.epochs * len(batches)
    spanned = options.total_steps or total
    schedule = make_schedule(options.schedule, lr, spanned, options.milestones)
    optimizer = make_optimizer(
        options.optimizer, model.parameters(), lr, options.momentum, options.weight_decay
    )
    repeated = itertools.chain.from_iterable(itertools.repeat(batches, options.epochs))
    begin, steps, text = time.perf_counter(), [], ""
    try:
        for step in train(model, repeated, optimizer, schedule):
            steps.append(step)
            if not math.isfinite(step.loss):
                raise ArithmeticError(
                    f"step {len(steps)} of {total}: the loss is not finite; a smaller --lr may help"
                )
            if not options.quiet:
                title = f"step {len(steps)}/{total}" if len(steps) > 1 else "first step"
                print(cost_line(title, step), file=sys.stderr, flush=True)
            text += (
                json.dumps({"step": len(steps), "lr": schedule(len(steps) - 1), **asdict(step)})
                + "\n"
            )
    finally:
        if options.out and text:
            write_whole(options.out, text)
    seconds = time.perf_counter() - begin
    mean = sum(step.loss for step in steps) / total
    print(f"{total} steps in {seconds:.1f} s: mean loss {mean:.4f}, last loss {steps[-1].loss:.4f}")
    solves = sum(len(step.nfe) for step in steps)
    if solves:
        forward, backward = (
            sum(sum(getattr(s, name)) for s in steps) / solves for name in ("nfe", "backward_nfe")
        )
        print(
            f"{forward:.1f} function evaluations a forward solve"
            + (f", {backward:.1f} backward" * options.adjoint)
        )


if __name__ == "__main__":
    raise SystemExit(main())
