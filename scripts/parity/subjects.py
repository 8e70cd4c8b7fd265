"""What is compared: a part of a model, built on both sides with the same weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from flax import nnx

from jaxode.config import DownsamplingName, ModelConfig, SolveConfig, StemName
from jaxode.interop import from_torch
from jaxode.models import create_model
from torch_ref.model import ODEBlock, build
from torch_ref.solve import Settings

IMAGES, SIDE, WIDTH = 2, 28, 64
FAR_FROM_KINKS = 8.0
"""Added to the biases of the norms before a ReLU: normalised values lie well within, so that the
ReLU never bends.
"""

STEEP = 8.0
"""Multiplies the slopes of such a field: where a method's error is rounding noise, so is the step
size chosen by it.
"""


@dataclass(frozen=True)
class Subject:
    """A part of a classifier.

    `path` leads to it in jaxode's model and `layers` are its places in the reference's
    nn.Sequential; `inside` leads on within the only one of these. `shape` is an input's without the
    batch. `times` are given to a part that wants one.
    """

    name: str
    model: str
    blocks: int
    path: tuple[Any, ...]
    layers: slice
    inside: str
    shape: tuple[int, ...]
    channels: int = 1
    classes: int = 10
    augment: int = 0
    stem: StemName = "quarter"
    downsampling: DownsamplingName = "conv"
    time: float | None = None
    smooth: bool = False


@dataclass
class Theirs:
    """The reference's part, `run(x) → y`, in the whole model that it belongs to.

    `blocks` are its ODE blocks.
    """

    model: torch.nn.Sequential
    run: Callable[[torch.Tensor], torch.Tensor]
    blocks: list[ODEBlock]


@dataclass
class Ours:
    """Our part, `run(parameters, x) → (y, Stats or None)`.

    `gradients` reads those of the reference in our layout.
    """

    run: Callable[[list[jax.Array], jax.Array], tuple[jax.Array, Any]]
    parameters: list[jax.Array]
    gradients: Callable[[], list[np.ndarray]]


def last(maps: np.ndarray) -> np.ndarray:
    """Maps [B, C, H, W] as [B, H, W, C]; other arrays as they are."""
    return maps.transpose(0, 2, 3, 1) if maps.ndim == 4 else maps


def first(maps: np.ndarray) -> np.ndarray:
    """Maps [B, H, W, C] as [B, C, H, W]; other arrays as they are."""
    return np.ascontiguousarray(maps.transpose(0, 3, 1, 2)) if maps.ndim == 4 else maps


def draw(subject: Subject, settings: Settings, seed: int, width: int) -> torch.nn.Sequential:
    """The reference's classifier with random weights, in float64.

    Norms do not start at one and zero.
    """
    torch.manual_seed(seed)
    theirs = build(
        subject.model,
        subject.blocks,
        channels=subject.channels,
        classes=subject.classes,
        width=width,
        augment=subject.augment,
        convolutions=ModelConfig(stem=subject.stem).stem_convolutions,
        downsampling=subject.downsampling,
        side=SIDE,
        settings=settings,
    ).double()
    with torch.no_grad():
        for parameter in theirs.parameters():  # an exchange of two norms would not show otherwise
            parameter += 0.1 * torch.randn_like(parameter)
        if subject.smooth:
            for block in theirs:
                if isinstance(block, ODEBlock):
                    block.odefunc.norm1.bias.add_(FAR_FROM_KINKS)
                    block.odefunc.norm2.bias.add_(FAR_FROM_KINKS)
                    block.odefunc.norm3.weight.mul_(STEEP)
    return theirs


def their_part(
    subject: Subject, settings: Settings, dtype: str, *, seed: int = 0, width: int = WIDTH
) -> Theirs:
    """The reference with random weights, in "float32" or "float64"."""
    model = draw(subject, settings, seed, width).to(getattr(torch, dtype))
    part: Any = model[subject.layers]
    if subject.inside:
        part = part[0].get_submodule(subject.inside)

    def run(x: torch.Tensor) -> torch.Tensor:
        return (
            part(x) if subject.time is None else part(torch.tensor(subject.time, dtype=x.dtype), x)
        )

    return Theirs(
        model, run, [layer for layer in list(model)[subject.layers] if isinstance(layer, ODEBlock)]
    )


def our_part(
    subject: Subject, solve: SolveConfig, theirs: Theirs, dtype: str, *, width: int = WIDTH
) -> Ours:
    """Our side with the reference's weights."""
    settings = ModelConfig(
        subject.model, subject.blocks, width, subject.augment, subject.stem, subject.downsampling
    )
    model = nnx.eval_shape(  # drawing weights of its own would be compiled for every shape
        lambda: create_model(
            settings,
            solve,
            image_shape=(SIDE, SIDE, subject.channels),
            classes=subject.classes,
            rngs=nnx.Rngs(0),
            dtype=jnp.dtype(dtype),
        )
    )
    weights = {name: value.numpy() for name, value in theirs.model.state_dict().items()}
    nnx.update(model, from_torch(model, weights, channels=subject.channels))
    part: Any = model
    for step in subject.path:
        part = part[step] if isinstance(step, int) else getattr(part, step)
    graph, state = nnx.split(part)
    parameters, tree = jax.tree.flatten(state)

    def run(parameters: list[jax.Array], x: jax.Array) -> tuple[jax.Array, Any]:
        part = nnx.merge(graph, jax.tree.unflatten(tree, parameters))
        out = part(x) if subject.time is None else part(jnp.asarray(subject.time, x.dtype), x)
        return out if isinstance(out, tuple) else (out, None)

    def gradients() -> list[np.ndarray]:
        found = {
            name: (
                (torch.zeros_like(parameter) if parameter.grad is None else parameter.grad).numpy()
            )
            for name, parameter in theirs.model.named_parameters()
        }
        turned = nnx.to_flat_state(from_torch(model, found, channels=subject.channels))
        return [
            np.asarray(value[...])
            for path, value in turned
            if path[: len(subject.path)] == subject.path
        ]

    return Ours(run, parameters, gradients)
