"""Weight files, read without running anything in them, and the models that they fit."""

from __future__ import annotations

import argparse
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torch_ref import files
from torch_ref.files import MOST_BYTES, FileError, line

Weights = dict[str, Tensor]


BLOCKS = {"odenet": r"(\d+)\.odefunc\.conv1\.", "resnet": r"(\d+)\.conv1\."}
"""Names that only a block of this kind has."""

HALVING = re.compile(r"(\d+)\.downsample\.weight$")
"""A name that only a block of the downsampling segment has."""

LONGEST_NAME = 1000

NUMBERED = re.compile(r"(\d+)\.weight$")


class WeightsError(ValueError):
    """A file that holds no weights of these models."""


@dataclass(frozen=True)
class Layout:
    """The arguments of `torch_ref.model.build` for the model of a state_dict."""

    kind: str
    blocks: int
    width: int
    channels: int
    classes: int
    augment: int = 0
    convolutions: int = 3
    """Of the downsampling segment; of one of residual blocks, their number and one."""
    downsampling: str = "conv"


def read(path: Path) -> Weights:
    """The state_dict in a .pt or .pth file.

    A plain one, or that of odenet_mnist.py's {"state_dict", "args"}.

    A pickle can hold any program. torch's restricted reader refuses all but tensors and plain
    values; besides those, argparse.Namespace is allowed, in which odenet_mnist.py keeps its flags
    and which executes nothing when it is created.

    Raises:
      WeightsError: the file holds anything else, is damaged or too large.
      OSError: it cannot be read.
    """
    try:
        files.examine(path)
        with torch.serialization.safe_globals([argparse.Namespace]):
            found: Any = torch.load(path, map_location="cpu", weights_only=True)
        if isinstance(found, Mapping) and isinstance(found.get("state_dict"), Mapping):
            found = found["state_dict"]
        if not isinstance(found, Mapping):
            raise WeightsError(f"{path} must hold a state_dict, got {type(found).__name__}")
        return checked(found, path)
    except (WeightsError, OSError):
        raise
    except FileError as error:
        raise WeightsError(f"{path} cannot be read: {error}") from error
    except pickle.UnpicklingError as error:
        named = re.search(r"(?:GLOBAL|type) (\S+) was not an allowed", str(error))
        what = f": it refers to {named[1]}" if named else ""
        raise WeightsError(
            f"{path} is refused, for it is not a file of weights alone{what}"
        ) from error
    except Exception as error:  # whatever torch's reader meets in damaged bytes
        raise WeightsError(f"{path} is no file of PyTorch's: {line(error)}") from error


def checked(found: Mapping[str, Any], path: Path) -> Weights:
    """The mapping, if it is one of names to floating-point tensors of finite numbers.

    NaN and infinity are refused here, because every logit of such a model is NaN and the error
    would otherwise appear later, in training or in a comparison. Raises WeightsError.
    """
    size = 0
    for name, value in found.items():
        if not (isinstance(name, str) and isinstance(value, Tensor) and value.is_floating_point()):
            kind = value.dtype if isinstance(value, Tensor) else type(value).__name__
            under = repr(name)[:100]
            raise WeightsError(
                f"{path} must hold floating-point tensors by name, got {kind} under {under}"
            )
        if not name.isprintable() or len(name) > LONGEST_NAME:
            raise WeightsError(
                f"{path} must hold tensors by printable names, got {ascii(name)[:100]}"
            )
        if value.layout is not torch.strided or value.device.type != "cpu":
            raise WeightsError(
                f"{path} must hold dense tensors in memory, got another under {name!r}"
            )
        # What a tensor announces can be more than it has in memory: one number, repeated.
        size += value.numel() * value.element_size()
        if size > MOST_BYTES:
            raise WeightsError(
                f"{path} must hold tensors of at most {MOST_BYTES} bytes, got more by {name!r}"
            )
        if not bool(torch.isfinite(value.float() if value.element_size() == 1 else value).all()):
            raise WeightsError(
                f"{path} must hold finite numbers, got NaN or infinity under {name!r}"
            )
    return {name: value.detach().resolve_neg() for name, value in found.items()}


def layout(weights: Mapping[str, Tensor | np.ndarray], side: int = 28) -> Layout:
    """Kind and sizes of the model by the names and shapes of its weights.

    A model without blocks is called a resnet, because it solves no ODE.

    Args:
      weights: tensors or arrays by name; only their shapes are used.
      side: of the square images in pixels, which an mlp's weights do not determine.

    Raises:
      WeightsError: they are of none of the models.
    """
    shapes = {name: tuple(value.shape) for name, value in weights.items()}
    if len(shapes.get("1.weight", ())) == 2 and len(shapes.get("3.weight", ())) == 2:
        inputs = shapes["1.weight"][1]
        if inputs % side**2:
            raise WeightsError(
                f"1.weight must take a multiple of {side} x {side} numbers, got {inputs}"
            )
        return Layout("mlp", 0, 0, inputs // side**2, shapes["3.weight"][0])
    halving = {match[1] for name in shapes if (match := HALVING.match(name))}
    found = {
        kind: {match[1] for name in shapes if (match := re.match(pattern, name))} - halving
        for kind, pattern in BLOCKS.items()
    }
    linear = [
        int(match[1])
        for name, shape in shapes.items()
        if len(shape) == 2
        if (match := NUMBERED.match(name))
    ]
    empty = ["resnet"] if len(linear) == 1 else []  # a model without blocks
    kinds = [kind for kind, numbers in found.items() if numbers] or empty
    if len(kinds) != 1 or len(shapes.get("0.weight", ())) != 4:
        raise WeightsError(
            "neither an odenet, nor a resnet, nor an mlp laid out as in odenet_mnist.py"
        )
    numbers = [int(number) for number in found[kinds[0]]]
    blocks, start = len(numbers), min(numbers, default=linear[0] - 4 if linear else 0)
    convolutions, last = (start + 2) // 3, f"{start + blocks + 4}.weight"
    if halving:
        convolutions = start
        if sorted(map(int, halving)) != list(range(1, start)):
            raise WeightsError(f"layers 1 to {start - 1} must be residual blocks of stride 2")
    elif (start + 2) % 3 or len(shapes.get(f"{start - 1}.weight", ())) != 4:
        raise WeightsError(
            f"layer {start - 1} must be the last convolution of the downsampling segment"
        )
    if len(shapes.get(last, ())) != 2:
        raise WeightsError(f"missing {last}, the last layer of a {kinds[0]} of {blocks} blocks")
    width, channels = shapes["0.weight"][:2]
    state = shapes.get(f"{start}.odefunc.norm1.weight") or (width,)
    # A state narrower than the downsampled map is no augmentation: whoever loads the weights will
    # name the shapes.
    return Layout(
        kinds[0],
        blocks,
        width,
        channels,
        shapes[last][0],
        max(0, state[0] - width),
        convolutions,
        "res" if halving else "conv",
    )
