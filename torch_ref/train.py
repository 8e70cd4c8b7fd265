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
import secrets
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from torch import nn

from torch_ref.flags import WRONG_REQUEST, build_parser, one_line, parsed
from torch_ref.inputs import Batch, load
from torch_ref.solve import FIXED_STEP, Settings
from torch_ref.updates import Step, make_optimizer, make_schedule, train

FAILED, INTERRUPTED = 1, 130


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


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code.

    0, 1 for a failed run, 2 for a wrong request, 130 after Ctrl-C.
    """
    parser = build_parser(__doc__ or "")
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
