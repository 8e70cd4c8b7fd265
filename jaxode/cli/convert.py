"""Weights to and from PyTorch, without PyTorch.

    jaxode convert model.pth digits.safetensors            # of odenet_mnist.py, which says the rest
    jaxode convert model.pth digits.npz --dataset mnist --pixels unit      # another state_dict
    jaxode convert runs/mnist/RUN weights.pt               # a state_dict for torch.load
    jaxode convert model.pth runs/given --dataset mnist    # a new run, to train further
    jaxode convert vgg16_bn.pth vgg16.safetensors          # torchvision's, also ResNets, FasterRCNN

SOURCE is a run, one of its checkpoints, or a file: .safetensors, .npz, .pt, .pth, .ckpt, .bin or
.pth.tar. Names and layout are those of torchdiffeq's odenet_mnist.py; a state_dict is found in the
usual checkpoints, without the prefixes of DataParallel and torch.compile. Nothing in a file is run,
checksums are compared, and NaN and infinity are refused by name. State_dicts of torchvision's
vgg16_bn, resnet50, resnet101 and FasterRCNN on one map become jaxode's names and layout.

TARGET ends in .safetensors or .npz, for jaxode.load and the other commands; in .pt or .pth, for
torch.load; or is the directory of a new run. Settings are those of the file, or of `jaxode train
DATASET`, all of whose flags are understood; what the file decides (model, blocks, width) is left
out. In Python: `jaxode.export.save(jaxode.load(SOURCE), TARGET)`.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxode.checks import ConfigError
from jaxode.cli import process
from jaxode.cli.command import run_command
from jaxode.cli.converters import Choice, to_path
from jaxode.cli.flags import add_settings, error_with_flag, flag_of
from jaxode.cli.parser import Parser
from jaxode.config import preset
from jaxode.data import dataset_names

if TYPE_CHECKING:
    from flax import nnx

    from jaxode.inference import TrainedModel
    from jaxode.interop import WeightFile

WRITTEN = (".safetensors", ".npz", ".pt", ".pth")
"""Ends of files that can be written."""

ELSEWHERE = (".stablehlo", ".onnx", ".ckpt", ".bin", ".tar", ".h5")
"""Ends of files that cannot, and that nobody gives to a directory."""

LAYOUTS = ("jaxode", "torch")
OWN = ("source", "target", "layout", "checkpoint")
HIDDEN = ("model", "optimiser", "devices")
"""Groups of flags that are understood and not in the help."""


def build_parser() -> Parser:
    """The flags; those that are not given are left out of the result."""
    parser = Parser.from_doc(
        "jaxode convert",
        __doc__,
        usage="%(prog)s SOURCE TARGET [flags]",
        argument_default=argparse.SUPPRESS,
    )
    add, names = parser.add_argument, dataset_names()
    add("source", type=to_path, metavar="SOURCE", help="a run, a checkpoint of it, or a file")
    add("target", type=to_path, metavar="TARGET", help="a file, or the directory of a new run")
    add(
        "--dataset",
        type=Choice(names),
        metavar="NAME",
        help=f"images of the model, where the file does not say: {', '.join(names)}",
    )
    add(
        "--layout",
        type=Choice(LAYOUTS),
        metavar="NAME",
        help="names and axes in TARGET: jaxode, or torch for a plain state_dict (default: torch for"
        " .pt and .pth)",
    )
    add(
        "--checkpoint",
        type=Choice(("last", "best")),
        metavar="NAME",
        help="of a run: last or best (default: last)",
    )
    add_settings(parser, preset("mnist"), every=True)
    for group in parser._action_groups:
        for action in group._group_actions if group.title in HIDDEN else ():
            action.help = argparse.SUPPRESS
    return parser


def work(options: argparse.Namespace, solve: dict[str, Any]) -> str:
    """Read, convert, write."""
    given = {name: value for name, value in vars(options).items() if name not in OWN} | solve
    source, target = options.source, options.target
    to_run = target.suffix not in WRITTEN
    layout = getattr(options, "layout", "torch" if target.suffix in (".pt", ".pth") else "jaxode")
    _require_possible(source, target, layout, to_run)
    if source.is_dir():
        return _from_run(source, target, layout, getattr(options, "checkpoint", "last"), given)
    from jaxode.inference.loading import from_file, read_file

    found = read_file(source)
    for note in found.notes:
        _note(f"{source}: {note}")
    if layout == "torch" and found.settings is None:
        return _copied(found, target, given)
    written = None if found.settings is not None else _torchvision(found, source, target, given)
    if written is not None:
        return written
    try:
        trained = from_file(found, source, given)
    except ConfigError as error:
        raise error_with_flag(error, given) from None
    _tell(found, trained, source, given)
    if to_run:
        return _to_run(trained, target, "epochs" in given or found.flags or found.settings)
    return _written(trained, target, layout)


def _require_possible(source: Path, target: Path, layout: str, to_run: bool) -> None:
    """Raise ConfigError for what can be refused before anything is read."""
    if to_run and (source.is_dir() or target.suffix in ELSEWHERE):
        more = "" if source.is_dir() else ", or be a directory"
        other = ": jaxode export writes it" if target.suffix in (".stablehlo", ".onnx") else ""
        raise ConfigError(
            f"TARGET must end in one of {', '.join(WRITTEN)}{more}, got {target}{other}"
        )
    if target.suffix in (".pt", ".pth") and layout == "jaxode":
        raise ConfigError(f"--layout must be torch for {target.suffix}, got jaxode")
    if os.path.lexists(target) and not (target.is_dir() and not any(target.iterdir())):
        raise ConfigError(f"TARGET must not exist yet, got {target}")


def _from_run(source: Path, target: Path, layout: str, which: Any, given: dict[str, Any]) -> str:
    from jaxode.inference import TrainedDepth, TrainedDetector, TrainedModel, load

    if given:
        flag = flag_of(next(iter(given)))
        raise ConfigError(f"{flag} must be left out: {source} has settings of its own")
    found = load(source, checkpoint=which)
    if isinstance(found, TrainedDetector | TrainedDepth):
        return _module_written(found.trained.model, target, layout)
    if not isinstance(found, TrainedModel):
        raise ConfigError(f"{source} must be of images, and is {found!r}")
    return _written(found, target, layout)


def _module_written(model: nnx.Module, target: Path, layout: str) -> str:
    """The numbers of a module alone: names of PyTorch's, or paths."""
    import numpy as np

    from jaxode.inference.weights import flat_names
    from jaxode.interop import to_torch, write_weights
    from jaxode.train.state import split_model

    if layout == "torch":
        arrays = to_torch(model)
    else:
        values = flat_names(split_model(model)[1])
        arrays = {name: np.asarray(value) for name, value in values.items()}
    write_weights(target, arrays)
    return _summary(target, arrays)


def _torchvision(
    found: WeightFile, source: Path, target: Path, given: dict[str, Any]
) -> str | None:
    """A state_dict of torchvision's in jaxode's layout; None for one of another layout."""
    import jax
    import numpy as np

    from jaxode.interop import InteropError
    from jaxode.interop.torchvision_models import recognised, torchvision_model

    try:
        which = recognised(found.weights)
        if which is None:
            return None
        if target.suffix not in WRITTEN:
            raise ConfigError(
                f"TARGET must end in one of {', '.join(WRITTEN)}, got {target}: a {which.title}"
                " has no data set to be trained on"
            )
        if given:
            flag = flag_of(next(iter(given)))
            raise ConfigError(f"{flag} must be left out: {source} is a {which.title}")
        wide = any(array.dtype == np.float64 for array in found.weights.values())
        with jax.enable_x64(wide):
            model = torchvision_model(found.weights, dtype=np.float64 if wide else np.float32)
            text = _module_written(model, target, "jaxode")
    except InteropError as error:
        raise ConfigError(f"{source}: {error}") from error
    if which.assumed:
        _note(f"{source} does not say which boxes it starts from: {which.assumed}, say")
    return f"{text}, {which.title}"


def _copied(found: WeightFile, target: Path, given: dict[str, Any]) -> str:
    """A state_dict as it is, of any model: names and numbers alone."""
    from jaxode.interop import write_weights

    if given:
        flag = flag_of(next(iter(given)))
        raise ConfigError(f"{flag} is a setting of a model, and a plain state_dict has none: leave"
                          " it out, or give --layout jaxode")  # fmt: skip
    write_weights(target, found.weights)
    return _summary(target, found.weights)


def _written(trained: TrainedModel, target: Path, layout: str) -> str:
    from jaxode.export.weights import weight_bytes
    from jaxode.inference.weights import flat_names
    from jaxode.runs.files import write_whole

    write_whole(target, weight_bytes(trained, target.suffix, layout))
    return _summary(target, flat_names(trained.learned))


def _summary(target: Path, arrays: Any) -> str:
    numbers = sum(array.size for array in arrays.values())
    return f"wrote {target}: {len(arrays)} arrays, {numbers:,} numbers"


def _to_run(trained: TrainedModel, target: Path, keep_epochs: Any) -> str:
    from jaxode.cli.texts import data_text
    from jaxode.cli.train import adapt_to_data
    from jaxode.data import load
    from jaxode.inference.new_run import start_run

    data = load(trained.config.data)
    print(data_text(data), file=sys.stderr)
    config = adapt_to_data(trained.config, data, bool(keep_epochs))
    start_run(trained, config, data, target)
    return f"go on with: jaxode train {data.name} --resume {shlex.quote(str(target))}"


def _tell(found: WeightFile, trained: TrainedModel, source: Path, given: dict[str, Any]) -> None:
    """Say what was taken for granted, and what is rounded."""
    config = trained.config
    if found.settings is None and found.flags is None and "pixels" not in given:
        _note(
            f"{source} does not say how its images were shown: taken as jaxode trains on"
            f" {config.data.dataset}, normalised (--pixels unit: from 0 to 1)"
        )
    wide = any(array.dtype.name == "float64" for array in found.weights.values())
    if wide and config.dtype == "float32":
        _note(f"--precision {config.precision} rounds the float64 numbers of the file")


def _note(text: str) -> None:
    print(f"note: {text}", file=sys.stderr)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    from jaxode.errors import Stopped

    parser = build_parser()
    try:
        return run_command(argv, parser, work)
    except Stopped as stop:
        return process.stopped(stop, f"{parser.prog}: stopped")
