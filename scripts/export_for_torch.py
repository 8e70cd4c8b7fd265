"""Export a run for PyTorch: weights, first batches, and the command that trains.

    python -m scripts.export_for_torch --dataset mnist --stepping torchdiffeq --out exported

All flags of the experiments are understood. DIR/weights.pt is the state_dict of the initial
parameters and DIR/batches.npz holds the first N batches as the training step sees them, normalised
and cropped. Printed is the command of torch_ref.train that repeats the run's first N steps. With
--stepping torchdiffeq (or fixed steps) and --precision float64 both sides take the same steps, and
their losses differ by rounding only.
"""

from __future__ import annotations

import contextlib
import io
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from flax import nnx

from jaxode.checks import COUNTS, ConfigError, require
from jaxode.cli import process
from jaxode.cli.converters import Number, to_path
from jaxode.cli.parser import Parser, parse_flags
from jaxode.cli.texts import data_text
from jaxode.cli.train import adapt_to_data
from jaxode.config import CONVOLUTIONS_ONLY, MODEL_FACTS, RunConfig, SolveConfig, names_where
from jaxode.data import DataError, load
from jaxode.interop import to_torch
from jaxode.runs import make_writable
from jaxode.runs.files import write_whole
from jaxode.train.compiled_steps import CompiledSteps
from scripts.parity.settings import their_settings
from scripts.settings import settings, settings_parser

WEIGHTS, BATCHES = "weights.pt", "batches.npz"


def solver_flags(solve: SolveConfig) -> list[str]:
    """Flags of torch_ref.train for the same solve. Raises ConfigError if torchdiffeq has none."""
    fixed = solve.step_size is not None
    require(
        not solve.per_sample,
        "--per-sample",
        True,
        "left out: torchdiffeq has one step size for a batch",
    )
    both = names_where(torchdiffeq_fixed=True) if fixed else names_where(torchdiffeq_adaptive=True)
    allowed = (
        f"one that torchdiffeq has {'with fixed steps' if fixed else 'too'}: {', '.join(both)}"
    )
    require(solve.solver in both, "--solver", solve.solver, allowed)
    require(solve.regularise is None, "--regularise", solve.regularise, "left out for torch_ref")
    for name in ("rtol", "atol"):
        backward = getattr(solve, f"backward_{name}")
        same = backward in (None, getattr(solve, name))
        require(
            same,
            f"--backward-{name}",
            backward,
            f"left out or --{name}, which torch_ref takes for both solves",
        )
    theirs = their_settings(replace(solve, stepping="torchdiffeq"))
    flags = ["--method", theirs.method]
    flags += (
        ["--step-size", repr(solve.step_size)]
        if fixed
        else ["--rtol", repr(solve.rtol), "--atol", repr(solve.atol)]
    )
    flags += ["--adjoint", "--adjoint-norm", solve.backward_norm] if theirs.adjoint else []
    flags += ["--stop-at-ends"] if theirs.stop_at_ends else []
    return flags + (["--constant-first-step"] if theirs.constant_first_step else [])


def command(config: RunConfig, total_steps: int, out: Path) -> list[str]:
    """The command line of torch_ref.train that repeats the first steps of this run."""
    optim = config.scaled_optim
    words = [
        "python",
        "-m",
        "torch_ref.train",
        "--weights",
        str(out / WEIGHTS),
        "--batches",
        str(out / BATCHES),
    ]
    words += solver_flags(config.solve) if config.model.ode_blocks else []
    words += ["--optimizer", optim.optimizer, "--lr", repr(optim.lr)]
    words += ["--momentum", repr(optim.momentum)] if optim.optimizer == "sgd" else []
    words += ["--weight-decay", repr(optim.weight_decay)] if optim.weight_decay else []
    words += ["--schedule", optim.schedule, "--total-steps", str(total_steps)]
    if optim.schedule == "milestones":
        per_epoch = total_steps // config.epochs
        steps = ",".join(str(epoch * per_epoch) for epoch in optim.milestone_epochs)
        words += ["--milestones", steps]
    return words + ["--float64"] * (config.precision == "float64")


def first_batches(steps: CompiledSteps, count: int) -> dict[str, np.ndarray]:
    """Images [count, B, H, W, C] and labels [count, B] of the first training steps.

    Raises ConfigError if the run has fewer steps, or a batch among them is padded: its padding
    counts for nothing in the loss but takes part in the choice of the solver's steps, so neither
    keeping nor cutting it would be the same.
    """
    require(
        count <= steps.total_steps,
        "--batches",
        count,
        f"at most {steps.total_steps}, the steps of the run",
    )
    padded = not steps.config.data.drop_last and steps.train_count % steps.config.batch_size
    if count >= steps.steps_per_epoch and padded:
        raise ConfigError(
            f"--batches must be below {steps.steps_per_epoch}, got {count}: the last batch of an"
            f" epoch is padded, for {steps.train_count} images are no multiple of"
            f" {steps.config.batch_size}"
        )
    view = jax.jit(lambda batch: steps.work.views.training(batch)["image"])
    images, labels = [], []
    for step in range(count):
        epoch, row = divmod(step, steps.steps_per_epoch)
        key, batches = steps.epoch(epoch, row)
        with contextlib.closing(batches):
            (call,) = batches.upto(row + 1)
        stored = call.batches.read(call.batches.rows(jnp.int32(row))[0])
        keys = jax.random.split(
            jax.random.fold_in(key, row), len(stored["label"])
        )  # as in train_chunk
        images.append(np.asarray(view({"image": stored["image"], "key": keys})))
        labels.append(np.asarray(stored["label"]))
    return {"images": np.stack(images), "labels": np.stack(labels)}


def export(config: RunConfig, epochs_given: bool, count: int, out: Path) -> list[str]:
    """Write the files; returns the command. Raises ConfigError, DataError, OSError."""
    for name in (WEIGHTS, BATCHES):
        require(not (out / name).exists(), "--out", str(out), f"a folder without {name}")
    known = [name for name, facts in MODEL_FACTS.items() if facts.classes is None]
    require(config.model.name in known, "--model", config.model.name, f"one of {', '.join(known)}")
    allowed = "float32 or float64, in which torch_ref computes"
    require(config.precision not in CONVOLUTIONS_ONLY, "--precision", config.precision, allowed)
    if config.model.ode_blocks:
        solver_flags(config.solve)  # refused before anything is loaded
    with jax.enable_x64(config.precision == "float64"):
        data = load(config.data)
        config = adapt_to_data(config, data, epochs_given)
        print(data_text(data), file=sys.stderr)
        steps = CompiledSteps(config, data)
        model: Any = nnx.merge(steps.work.graphdef, *steps.learned)
        weights = to_torch(model, channels=data.spec.channels)
        batches = first_batches(steps, count)
    packed = {WEIGHTS: io.BytesIO(), BATCHES: io.BytesIO()}
    torch.save({name: torch.from_numpy(array) for name, array in weights.items()}, packed[WEIGHTS])
    np.savez_compressed(packed[BATCHES], **batches)  # pyright: ignore[reportArgumentType]
    make_writable(out)
    for name, file in packed.items():
        write_whole(out / name, file.getvalue())
    return command(config, steps.total_steps, out)


def build_parser() -> Parser:
    """The flags."""
    parser = settings_parser(
        "python -m scripts.export_for_torch", "--batches N --out DIR [flags]", __doc__ or ""
    )
    add = parser.add_argument
    add("--batches", type=Number(int, COUNTS), required=True, metavar="N", help="how many batches")
    add("--out", type=to_path, required=True, metavar="DIR", help="where the two files go")
    return parser


@process.command("scripts.export_for_torch")
def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = build_parser()
    try:
        values = parse_flags(parser, argv)
        count, out = values.pop("batches"), values.pop("out")
        config = settings(values)
        words = export(config, "epochs" in values, count, out)
    except SystemExit as stop:
        return int(stop.code or 0)
    except (ConfigError, DataError, OSError) as error:
        return process.report(parser.prog, error, 2)
    adaptive = config.model.ode_blocks > 0 and config.solve.step_size is None
    if adaptive and config.solve.stepping == "diffrax":
        print(
            "note: only with --stepping torchdiffeq does the run take torchdiffeq's steps",
            file=sys.stderr,
        )
    print(shlex.join(words))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
