"""Parameters to and from PyTorch's layout: the state_dict of torchdiffeq's `odenet_mnist.py`.

Imports no torch.

The classifiers of radar images have the names of `torch_ref.iceberg`, models of depth those of
`torch_ref.depth`, VGG, bottleneck ResNets and detectors those of torchvision, and their running
statistics travel as well.

Arrays are NumPy's. Convolution kernels turn from [O, I, kh, kw] to [kh, kw, I, O], linear ones from
[O, I] to [I, O]; nothing is computed, so both directions are exact. The first layer of a
multi-layer perceptron is reordered too where an image has several channels, and that of a
detector's box head, for PyTorch flattens them first and jaxode last.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxode.interop.detector_names import READS_MAPS, detector_names
from jaxode.models import (
    MLP,
    VGG,
    BottleneckResNet,
    DenseClassifier,
    DepthNet,
    Detector,
    IcebergNet,
    ODENet,
    ResNet,
    VGGFeatures,
)
from jaxode.models.stem import Stem
from jaxode.nn.residual_downsampling import ResidualDownsample

Arrays = dict[str, np.ndarray]

LEAVES = {
    "kernel": "weight",
    "scale": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "variance": "running_var",
}
"""PyTorch's names of a layer's arrays."""

CARRIED = (nnx.Param, nnx.BatchStat)
"""What both directions take along."""

PIXELS_FIRST = ("1.weight", "layers.0.weight")
"""Linear layers that read an image, of the MLP and of the dense classifier."""


class InteropError(ValueError):
    """A state_dict that is not this model's."""


def torch_names(model: nnx.Module) -> dict[tuple[Any, ...], str]:
    """Name in PyTorch's state_dict of every parameter and running statistic, by its path.

    Raises InteropError for a model of your own, whose counterpart in PyTorch is not known.
    """
    paths = [tuple(path) for path, _ in nnx.to_flat_state(nnx.state(model, CARRIED))]
    if isinstance(model, DenseClassifier | IcebergNet):
        named = _own_names(paths)
    elif isinstance(model, DepthNet):
        named = {path: name.replace(".layers.", ".") for path, name in _own_names(paths).items()}
    elif isinstance(model, Detector):
        named = detector_names(model, {path[:-1] for path in paths})
    elif isinstance(model, VGG | VGGFeatures | BottleneckResNet):
        named = {path[:-1]: _torchvision_name(path[:-1]) for path in paths}
    elif isinstance(model, MLP | ODENet | ResNet):
        named = _sequential_names(model)
    else:
        raise InteropError(f"a {type(model).__name__} has no layout of PyTorch's to be written in")
    return {path: f"{named[path[:-1]]}.{LEAVES[str(path[-1])]}" for path in paths}


def _own_names(paths: list[tuple[Any, ...]]) -> dict[tuple[Any, ...], str]:
    """Names as in `torch_ref.iceberg` and `depth`, whose layers are called as jaxode's are."""
    named = {}
    for path in {path[:-1] for path in paths}:
        words = ["odefunc" if word == "field" else str(word) for word in path]
        time_conv = "field" in path and words[-1].startswith("conv")
        named[path] = ".".join([*words, "_layer"] if time_conv else words)
    return named


def _torchvision_name(path: tuple[Any, ...]) -> str:
    """A layer's path, without the name of a list that torchvision's own module is."""
    return ".".join(str(word) for word in path if word != "layers")


def _sequential_names(model: MLP | ODENet | ResNet) -> dict[tuple[Any, ...], str]:
    """A layer's name begins with its number in the nn.Sequential."""
    modules: dict[tuple[Any, ...], str] = {}
    if isinstance(model, MLP):
        modules = {("linear1",): "1", ("linear2",): "3"}
    else:
        modules, first = _stem_names(model.downsample)
        parts = ("norm1", "conv1", "norm2", "conv2")
        for number in range(len(model.blocks)):
            for name in (*parts, "norm3") if isinstance(model, ODENet) else parts:
                if isinstance(model, ODENet):
                    layer = "._layer" if name.startswith("conv") else ""
                    modules["blocks", number, "field", name] = (
                        f"{first + number}.odefunc.{name}{layer}"
                    )
                else:
                    modules["blocks", number, name] = f"{first + number}.{name}"
        head = first + len(model.blocks)
        modules |= {("head", "norm"): str(head), ("head", "linear"): str(head + 4)}
    return modules


def _stem_names(stem: Stem) -> tuple[dict[tuple[Any, ...], str], int]:
    """Names of the downsampling segment's modules, and how many numbers it takes."""
    modules: dict[tuple[Any, ...], str] = {}
    if isinstance(stem, ResidualDownsample):
        modules["downsample", "conv"] = "0"
        for number in range(len(stem.blocks)):
            for name in ("norm1", "conv1", "norm2", "conv2"):
                modules["downsample", "blocks", number, name] = f"{1 + number}.{name}"
            modules["downsample", "blocks", number, "shortcut"] = f"{1 + number}.downsample"
        return modules, 1 + len(stem.blocks)
    for name, number in (("conv1", 0), ("norm1", 1), ("conv2", 3), ("norm2", 4), ("conv3", 6)):
        modules["downsample", name] = str(number)
    for number in range(len(stem.convs)):
        modules["downsample", "norms", number] = str(7 + 3 * number)
        modules["downsample", "convs", number] = str(9 + 3 * number)
    return modules, 7 + 3 * len(stem.convs)


def _to_torch(array: np.ndarray) -> np.ndarray:
    return array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T


def _from_torch(array: np.ndarray) -> np.ndarray:
    return array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T


def _channels_first(model: nnx.Module, name: str, array: np.ndarray, channels: int) -> int:
    """How many channels a linear layer reads that PyTorch flattens first; 1 where it does not."""
    if isinstance(model, Detector) and name == READS_MAPS:
        return array.shape[0] // model.settings.bins**2
    return channels if isinstance(model, MLP | DenseClassifier) and name in PIXELS_FIRST else 1


def to_torch(model: nnx.Module, *, channels: int = 1) -> Arrays:
    """The model's numbers as a PyTorch state_dict of NumPy arrays.

    Dense models need the number of channels of an image.
    """
    names = torch_names(model)
    arrays: Arrays = {}
    for path, value in nnx.to_flat_state(nnx.state(model, CARRIED)):
        name, array = names[tuple(path)], np.asarray(value[...])
        planes = _channels_first(model, name, array, channels)
        if planes > 1:
            array = (
                array.reshape(-1, planes, array.shape[1]).transpose(1, 0, 2).reshape(array.shape)
            )
        arrays[name] = np.array(
            _to_torch(array), order="C"
        )  # a copy of its own: torch wants to write
    return arrays


def from_torch(
    model: nnx.Module, state_dict: Mapping[str, np.ndarray], *, channels: int = 1
) -> nnx.State[Any, Any]:
    """Parameters for the model from a PyTorch state_dict, in the model's floating-point type.

    Put them to use by `nnx.update(model, parameters)`. Raises InteropError naming every key that is
    missing, unexpected or of the wrong shape.
    """
    names = torch_names(model)
    state = nnx.state(model, CARRIED)
    known = (
        *names.values(),
        *(name.replace("running_mean", "num_batches_tracked") for name in names.values()),
    )
    problems = [f"unexpected {name}" for name in state_dict if name not in known]
    loaded = []
    for path, value in nnx.to_flat_state(state):
        name, wanted = names[tuple(path)], tuple(_to_torch(np.empty(value.shape, np.bool_)).shape)
        if name not in state_dict:
            problems.append(f"missing {name}")
            continue
        array = np.asarray(state_dict[name])
        if array.shape != wanted:
            problems.append(f"{name} has shape {array.shape}, not {wanted}")
            continue
        array = _from_torch(array)
        planes = _channels_first(model, name, array, channels)
        if planes > 1:
            array = (
                array.reshape(planes, -1, array.shape[1]).transpose(1, 0, 2).reshape(array.shape)
            )
        # A copy: `asarray` may keep the memory of a torch tensor, which training there goes on to
        # change.
        loaded.append((path, value.replace(jnp.array(array, value.get_value().dtype))))
    if problems:
        raise InteropError("not this model's state_dict: " + "; ".join(problems))
    return nnx.from_flat_state(loaded)
