"""Which model a state_dict is of, by the names and shapes of its arrays."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np

from jaxode.config import DownsamplingName, StemName
from jaxode.interop.pytorch_layout import InteropError

BLOCKS = {"odenet": r"(\d+)\.odefunc\.conv1\.", "resnet": r"(\d+)\.conv1\."}
"""Names that only a block of this kind has; of residual downsampling too, where it stands before
the chain."""

NUMBERED = re.compile(r"(\d+)\.weight$")

SHORTCUT = re.compile(r"(\d+)\.downsample\.weight$")
"""The 1x1 convolution of a residual block of stride 2."""

HEAD = 4
"""Layers from the head's norm to its linear layer: ReLU, pool, flatten."""


@dataclass(frozen=True)
class Layout:
    """The model that a state_dict is of.

    Args:
      model: its name among jaxode's.
      channels: of an image; of a dense net, those times the pixels.
      classes: how many logits it has.
      blocks: in the chain.
      width: channels of the feature maps.
      augment_dims: channels that the state of the ODE blocks has more.
      convolutions: layers of the downsampling: a convolution of stride 1, the others of stride 2.
      downsampling: those others are convolutions, or residual blocks.
    """

    model: str
    channels: int
    classes: int
    blocks: int = 0
    width: int = 64
    augment_dims: int = 0
    convolutions: int = 3
    downsampling: DownsamplingName = "conv"

    def settings(self) -> dict[str, Any]:
        """The settings of a run that has this model, by name.

        Raises:
          InteropError: jaxode has no such model.
        """
        if self.model in ("odenet", "resnet"):
            stems = get_args(StemName)
            if not 3 <= self.convolutions < 3 + len(stems):
                allowed = f"2 to {1 + len(stems)} layers of stride 2"
                raise InteropError(
                    f"its downsampling must have {allowed}, got {self.convolutions - 1}"
                )
            return {
                "model": self.model,
                "blocks": self.blocks,
                "width": self.width,
                "augment_dims": self.augment_dims,
                "stem": stems[self.convolutions - 3],
                "downsampling_method": self.downsampling,
            }
        return {"model": self.model}


def layout_of(weights: Mapping[str, np.ndarray], side: int = 28) -> Layout:
    """The model that a state_dict is of.

    A chain without blocks is called a resnet, because it solves no ODE.

    Args:
      weights: arrays by PyTorch's names; only their shapes are used.
      side: of the square images in pixels, which the weights of an mlp do not determine.

    Raises:
      InteropError: they are of none of the models.

    Example:
      >>> import numpy as np
      >>> from jaxode.interop.layout import layout_of
      >>> layout_of({"1.weight": np.zeros((300, 784)), "3.weight": np.zeros((10, 300))}).model
      'mlp'
    """
    shapes = {name: tuple(array.shape) for name, array in weights.items()}
    if len(shapes.get("1.weight", ())) == 2 and len(shapes.get("3.weight", ())) == 2:
        inputs = shapes["1.weight"][1]
        if inputs % side**2:
            raise InteropError(
                f"1.weight must take a multiple of {side} x {side} numbers, got {inputs}"
            )
        return Layout("mlp", inputs // side**2, shapes["3.weight"][0])
    if len(shapes.get("layers.0.weight", ())) == 2:
        return Layout("dense", 1, 2)
    if len(shapes.get("downsample.norm.weight", ())) == 1:
        solves = any(name.startswith("blocks.0.odefunc.") for name in shapes)
        channels = shapes["downsample.norm.weight"][0]
        return Layout("odecnn" if solves else "cnn", channels, 2)
    return _chain(shapes)


def _chain(shapes: dict[str, tuple[int, ...]]) -> Layout:
    """An odenet or a resnet laid out as in torchdiffeq's odenet_mnist.py."""
    shortcuts = [int(match[1]) for name in shapes if (match := SHORTCUT.match(name))]
    stem_end = max(shortcuts, default=-1)
    found = {
        kind: sorted(
            {
                number
                for name in shapes
                if (match := re.match(pattern, name)) and (number := int(match[1])) > stem_end
            }
        )
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
        raise InteropError(
            "neither an odenet, nor a resnet, nor an mlp laid out as in odenet_mnist.py, nor a"
            f" model of radar images: {_first(shapes)}"
        )
    numbers = found[kinds[0]]
    start = min(numbers, default=linear[0] - HEAD if linear else 0)
    last = f"{start + len(numbers) + HEAD}.weight"
    if shortcuts:
        if sorted(shortcuts) != list(range(1, start)):
            raise InteropError(f"layers 1 to {start - 1} must be residual blocks of stride 2")
        convolutions = 1 + len(shortcuts)
    elif (start - 1) % 3 or len(shapes.get(f"{start - 1}.weight", ())) != 4:
        raise InteropError(f"layer {start - 1} must be the last convolution of the downsampling")
    else:
        convolutions = (start + 2) // 3
    if len(shapes.get(last, ())) != 2:
        raise InteropError(
            f"missing {last}, the last layer of a {kinds[0]} of {len(numbers)} blocks"
        )
    width, channels = shapes["0.weight"][:2]
    state = shapes.get(f"{start}.odefunc.norm1.weight") or (width,)
    return Layout(
        kinds[0],
        channels,
        shapes[last][0],
        len(numbers),
        width,
        # A state narrower than the downsampled map is no augmentation: whoever loads the weights
        # will name the shapes.
        max(0, state[0] - width),
        convolutions,
        "res" if shortcuts else "conv",
    )


def _first(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """The first names, for a message."""
    names = [ascii(name)[1:-1][:60] for name in list(shapes)[:3]]
    return (
        f"it has {', '.join(names)}{', …' if len(shapes) > 3 else ''}" if names else "it is empty"
    )
