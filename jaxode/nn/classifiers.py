"""Whole classifiers: images to logits, and what the solves on the way cost.

`training` is for models with layers that differ in training (`jaxode.nn.iceberg`); those here do
the same in both.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxode.checks import ConfigError, require, require_count
from jaxode.config import CHAINS, KernelsName, ModelConfig, Precision, SolveConfig
from jaxode.nn.blocks import Downsample, Head, ODEBlock, ResidualBlock, augmented
from jaxode.nn.iceberg import BandsNet, Dense, build_bands
from jaxode.nn.kernels import Kernels, choose_kernels
from jaxode.nn.layers import Linear
from jaxode.ode import Stats
from jaxode.types import Images, Logits, Maps, Training

HIDDEN = 300
"""Hidden units of the multi-layer perceptron (LeCun et al. 1998, 784-300-10)."""

SMALLEST_IMAGE = 6
"""Pixels a side; three convolutions leave nothing of a smaller image, and one more wants twice as
many.
"""


class ODENet(nnx.Module):
    """Downsampling · a chain of ODE blocks · head.

    Augmented (Dupont, Doucet and Teh 2019), the state of the blocks has more channels than the
    downsampled map: they stand last and are zero where the first block starts; a later block goes
    on with what they have become. The head reads them too, as the last layer of the authors'
    ConvODENet does.
    """

    def __init__(
        self, downsample: Downsample, blocks: list[ODEBlock], head: Head, augment: int = 0
    ) -> None:
        """The three segments; `augment` is how many channels more blocks and head have."""
        self.downsample, self.blocks, self.head, self.augment = (
            downsample,
            nnx.List(blocks),
            head,
            augment,
        )

    def features(self, images: Images) -> tuple[Maps, Stats]:
        """The state after the last block."""
        z, stats = augmented(self.downsample(images), self.augment), []
        for block in self.blocks:
            z, block_stats = block(z)
            stats.append(block_stats)
        return z, Stats.chain(stats)

    def __call__(self, images: Images, training: Training | None = None) -> tuple[Logits, Stats]:
        """Logits [B, classes] and each block's statistics [blocks]."""
        z, stats = self.features(images)
        return self.head(z), stats


class ResNet(nnx.Module):
    """Downsampling · a chain of residual blocks · head."""

    def __init__(self, downsample: Downsample, blocks: list[ResidualBlock], head: Head) -> None:
        """The three segments."""
        self.downsample, self.blocks, self.head = downsample, nnx.List(blocks), head

    def features(self, images: Images) -> tuple[Maps, Stats]:
        """The map after the last block; nothing is solved."""
        z = self.downsample(images)
        for block in self.blocks:
            z = block(z)
        return z, Stats.chain([])

    def __call__(self, images: Images, training: Training | None = None) -> tuple[Logits, Stats]:
        """Logits [B, classes] and empty statistics."""
        z, stats = self.features(images)
        return self.head(z), stats


class MLP(nnx.Module):
    """flatten · linear · ReLU · linear."""

    def __init__(self, inputs: int, classes: int, *, rngs: nnx.Rngs, dtype: jnp.dtype) -> None:
        """`inputs` numbers an image, HIDDEN hidden units."""
        self.linear1 = Linear(inputs, HIDDEN, rngs=rngs, dtype=dtype)
        self.linear2 = Linear(HIDDEN, classes, rngs=rngs, dtype=dtype)

    def features(self, images: Images) -> tuple[jax.Array, Stats]:
        """Hidden units [B, HIDDEN]; nothing is solved."""
        return jax.nn.relu(self.linear1(images.reshape(images.shape[0], -1))), Stats.chain([])

    def __call__(self, images: Images, training: Training | None = None) -> tuple[Logits, Stats]:
        """Logits [B, classes] and empty statistics."""
        hidden, stats = self.features(images)
        return self.linear2(hidden), stats


Classifier = ODENet | ResNet | MLP | Dense | BandsNet


def build_classifier(
    model: ModelConfig,
    solve: SolveConfig,
    *,
    image_shape: tuple[int, int, int],
    classes: int,
    rngs: nnx.Rngs,
    dtype: Any = jnp.float32,
    precision: Precision = "float32",
    kernels: Kernels | KernelsName = "auto",
) -> Classifier:
    """A classifier with fresh parameters, drawn as PyTorch draws them.

    Args:
      model: kind, blocks, width and augmentation.
      solve: how ODE blocks are solved; the other kinds ignore it.
      image_shape: height, width and channels of an image.
      classes: number of classes.
      rngs: stream `params` of keys.
      dtype: floating-point type of parameters, images and states.
      precision: of the convolutions: tf32, bfloat16 and float16 are less than float32; the others
        are `dtype`.
      kernels: a name, or functions to use instead; "auto" is the quickest for backend and
        precision.

    Raises:
      ConfigError: an image too small to be downsampled, or no classes.
    """
    require_count("classes", classes)
    height, width, channels = image_shape
    implicit = model.ode_blocks > 0 and solve.solver == "kvaerno3"
    if isinstance(kernels, Kernels):
        outside = within = kernels
    else:
        outside = choose_kernels(precision, wanted=kernels)
        within = choose_kernels(precision, wanted=kernels, forward_mode=implicit)
    plain: dict[str, Any] = {"kernels": outside, "rngs": rngs, "dtype": dtype}
    inside: dict[str, Any] = plain | {"kernels": within}
    if model.model in ("dense", "cnn", "odecnn"):
        require(
            classes == 2,
            "model",
            model.model,
            f"{' or '.join(CHAINS)} or mlp for {classes} classes",
        )
        return build_bands(
            model.model, solve, image_shape=image_shape, inside=inside["kernels"], **plain
        )
    if model.model == "mlp":
        return MLP(math.prod(image_shape), classes, rngs=rngs, dtype=dtype)
    least = 2 ** (model.stem_convolutions - 3) * (SMALLEST_IMAGE - 2) + 2
    if min(height, width) < least:
        raise ConfigError(
            f"image_shape must be at least {least} pixels a side for stem {model.stem}, got"
            f" {height} x {width}"
        )
    assert model.blocks is not None
    downsample = Downsample(channels, model.width, model.stem_convolutions, **plain)
    if model.model == "odenet":
        width = model.width + model.augment_dims
        odes = [ODEBlock(width, solve, **inside) for _ in range(model.blocks)]
        return ODENet(downsample, odes, Head(width, classes, **plain), model.augment_dims)
    residuals = [ResidualBlock(model.width, **plain) for _ in range(model.blocks)]
    return ResNet(downsample, residuals, Head(model.width, classes, **plain))


def parameter_count(model: nnx.Module) -> int:
    """Number of trained numbers."""
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(nnx.state(model, nnx.Param)))


def describe(
    model: ModelConfig, solve: SolveConfig, *, image_shape: tuple[int, int, int], classes: int
) -> dict[str, Any]:
    """Kind, parameter count and shapes of a classifier as JSON values.

    Nothing is computed and nothing allocated.
    """
    abstract = nnx.eval_shape(
        lambda: build_classifier(
            model, solve, image_shape=image_shape, classes=classes, rngs=nnx.Rngs(0)
        )
    )
    graph, state = nnx.split(abstract)

    def shapes(params: Any, images: Images) -> dict[str, Any]:
        built = nnx.merge(graph, params)
        state_shapes = (
            {} if isinstance(built, MLP | Dense) else {"downsampled": built.downsample(images)}
        )
        return state_shapes | {"features": built.features(images)[0], "logits": built(images)[0]}

    images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    found = jax.eval_shape(shapes, state, images)
    parameters = {
        ".".join(map(str, path)): list(value.shape) for path, value in nnx.to_flat_state(state)
    }
    return {
        "model": model.model,
        "blocks": model.blocks,
        "width": model.width,
        "augment_dims": model.augment_dims,
        "stem": model.stem,
        "classes": classes,
        "parameters": parameter_count(abstract),
        "shapes": (
            {"image": list(image_shape)}
            | {name: list(value.shape[1:]) for name, value in found.items()}
        ),
        "parameter_shapes": parameters,
    }
