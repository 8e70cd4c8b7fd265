"""Convert weights of PyTorch into a run, a run into weights, or a weight file into another.

    python -m scripts.convert model.pth runs/given --data sample   # then --resume
    python -m scripts.convert runs/mnist/RUN weights.pt   # of the newest checkpoint
    python -m scripts.convert runs/mnist/RUN/checkpoints/NAME weights.npz
    python -m scripts.convert model.pth model.safetensors

Files are .safetensors, .npz, .pt or .pth with the names and layout of torchdiffeq's
odenet_mnist.py: a state_dict, or what that script saves. Nothing else that a pickle may hold is
read. Any other TARGET is the directory of a new run. It gets the settings given by the experiments'
flags, but model, blocks, width and augmentation of the file, and a checkpoint of no steps with the
file's parameters; its origin.json names the file.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, get_args

import jax
import numpy as np
from flax import nnx

from jaxode.checks import ConfigError
from jaxode.cli import process
from jaxode.cli.converters import to_path
from jaxode.cli.parser import Parser, parse_flags
from jaxode.cli.texts import data_text
from jaxode.cli.train import adapt_to_data
from jaxode.config import MODEL_FACTS, RunConfig, StemName
from jaxode.data import SPECS, DataError, load, spec_of, view_shape
from jaxode.distributed.process_group import ProcessGroup
from jaxode.errors import CheckpointError, ResumeError, Stopped
from jaxode.interop import InteropError, from_torch, to_torch
from jaxode.interop.weight_files import Weights
from jaxode.models import create_model
from jaxode.runs import Progress, RunDirectory
from jaxode.runs.files import write_json
from jaxode.train.interrupts import Interrupts
from jaxode.train.loop import Trainer
from scripts.restore import restored
from scripts.settings import settings, settings_parser
from scripts.weight_files import ENDINGS, read_weights, write_weights
from torch_ref.weights import Layout, WeightsError, layout


def from_run(directory: Path) -> Weights:
    """The parameters of a run's newest checkpoint, or of one checkpoint, in PyTorch's layout."""
    run = restored(directory)
    channels = view_shape(run.config, spec_of(run.config.data))[2]
    return to_torch(run.model, channels=channels)


def settled(weights: Weights, found: Layout, flags: dict[str, Any]) -> RunConfig:
    """Settings of a run with these weights.

    Raises ConfigError if its images are not those of the model.
    """
    own: dict[str, Any] = {"model": found.kind}
    if "blocks" in MODEL_FACTS[found.kind].uses:
        stem = get_args(StemName)[found.convolutions - 3]
        own |= {
            "blocks": found.blocks,
            "width": found.width,
            "augment_dims": found.augment,
            "stem": stem,
            "downsampling_method": found.downsampling,
        }
    if any(array.dtype == np.float64 for array in weights.values()):
        own["precision"] = "float64"
    for name, value in own.items():
        if name != "precision" and flags.get(name, value) != value:
            flag = "--" + name.replace("_", "-")
            raise ConfigError(
                f"{flag} must be left out or {value}, as it is in the file, got {flags[name]}"
            )
    config = settings({**own, **flags})
    spec = spec_of(config.data)
    if (found.channels, found.classes) != (spec.channels, spec.classes):
        raise ConfigError(
            f"--dataset must be one of {found.channels} channels and {found.classes} classes, which"
            f" the model has, got {spec.name} of {spec.channels} and {spec.classes}"
        )
    return config


def started(weights: Weights) -> Callable[..., nnx.Module]:
    """A function in place of create_model that puts these weights into the model."""
    # Exact, whatever type the file holds.
    arrays = {name: array.astype(np.float64) for name, array in weights.items()}

    def build(*args: Any, image_shape: tuple[int, int, int], **options: Any) -> nnx.Module:
        model = create_model(*args, image_shape=image_shape, **options)
        nnx.update(model, from_torch(model, arrays, channels=image_shape[2]))
        return model

    return build


def to_run(weights: Weights, source: Path, out: Path, flags: dict[str, Any]) -> None:
    """Make a run that starts from these weights.

    Raises WeightsError, InteropError, ConfigError, DataError, CheckpointError, OSError.
    """
    side = SPECS[flags.get("dataset", RunConfig().data.dataset)].view_size
    config = settled(weights, layout(weights, side), flags)
    if config.dtype == "float32" and any(a.dtype == np.float64 for a in weights.values()):
        print(
            f"note: --precision {config.precision} rounds the float64 numbers of the file",
            file=sys.stderr,
        )
    with jax.enable_x64(config.precision == "float64"), Interrupts(Progress().warn) as interrupts:
        data = load(config.data)
        print(data_text(data), file=sys.stderr)
        config = adapt_to_data(config, data, "epochs" in flags)
        with interrupts.compiling():
            trainer = Trainer(
                config,
                data,
                out,
                Progress(),
                False,
                started(weights),
                None,
                interrupts,
                ProcessGroup(),
            )
        origin = {"file": source.name, "sha256": hashlib.sha256(source.read_bytes()).hexdigest()}
        with RunDirectory.create(out):
            require_new(out)
            # The settings last: they make the directory a run, which without its checkpoint would
            # start from the seed.
            trainer.records.save(trainer.state, 0)
            write_json(out / "origin.json", origin)
            trainer.records.start()
        if interrupts.signum is not None:
            raise Stopped(interrupts.signum)
    print(
        f"go on with: python -m experiments.{config.data.dataset} --resume {shlex.quote(str(out))}"
    )


def require_new(target: Path) -> None:
    """Raise ConfigError if something would be written over."""
    empty = target.is_dir() and not any(target.iterdir())
    if os.path.lexists(target) and not empty:
        raise ConfigError(f"TARGET must not exist yet, got {target}")


def convert(source: Path, target: Path, flags: dict[str, Any]) -> None:
    """What the command line does; see the module's docstring for what it raises."""
    run_wanted, run_given = target.suffix not in ENDINGS, source.is_dir()
    if run_wanted and run_given:
        raise ConfigError(
            f"TARGET must end in one of {', '.join(ENDINGS)} where SOURCE is a run, got {target}"
        )
    if not run_given and source.suffix not in ENDINGS:
        raise ConfigError(
            f"SOURCE must be a run's directory or end in one of {', '.join(ENDINGS)}, got {source}"
        )
    require_new(target)
    if flags and not run_wanted:
        flag = "--" + next(iter(flags)).replace("_", "-")
        raise ConfigError(f"{flag} is a setting of a run, and TARGET is a file: {target}")
    weights = from_run(source) if run_given else read_weights(source)
    if run_wanted:
        to_run(weights, source, target, flags)
        return
    numbers = sum(array.size for array in weights.values())
    write_weights(target, weights)
    print(f"wrote {target}: {len(weights)} arrays, {numbers:,} numbers")


def build_parser() -> Parser:
    """The flags."""
    parser = settings_parser("python -m scripts.convert", "SOURCE TARGET [flags]", __doc__ or "")
    parser.add_argument(
        "source",
        type=to_path,
        metavar="SOURCE",
        help="a file of weights, a run, or a run's checkpoint",
    )
    parser.add_argument(
        "target",
        type=to_path,
        metavar="TARGET",
        help="a file of weights, or the directory of a new run",
    )
    return parser


@process.command("scripts.convert")
def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = build_parser()
    try:
        values = parse_flags(parser, argv)
        convert(values.pop("source"), values.pop("target"), values)
    except SystemExit as stop:
        return int(stop.code or 0)
    except (
        ConfigError,
        DataError,
        InteropError,
        WeightsError,
        ResumeError,
        CheckpointError,
        OSError,
    ) as error:
        return process.report(parser.prog, error, 2)
    except Stopped as stop:
        return process.stopped(stop, f"{parser.prog}: stopped")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
