"""A model of depth from its settings, which a run records beside its own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from jaxode.checks import require, require_choice, require_count
from jaxode.config import KernelsName, SolveConfig
from jaxode.models.depth import DepthDecoder, DepthNet
from jaxode.models.depth_encoders import ENCODERS, ChainEncoder, Encoder, VGGEncoder
from jaxode.models.recorded_settings import check_names
from jaxode.nn.kernels import choose_kernels

FILE = "depth.json"
"""Where a run has them."""

SMALLEST_SIDE = 32
"""Pixels of a canvas; the smallest map of an encoder has a thirty-second of its sides."""


@dataclass(frozen=True)
class DepthModelConfig:
    """Which model of depth, its sizes, and the pictures that it is made for.

    Args:
      encoder: odenet, its residual twin resnet, or vgg16.
      width: channels of the maps of odenet and resnet, a multiple of 8.
      vgg_width: times the published channels of VGG-16.
      decoder: channels of the decoder, a multiple of 32.
      height: of the canvas in pixels.
      columns: of the canvas, its width in pixels.
      mean: of each colour from 0 to 1, which is subtracted.
      std: of each colour, by which it is divided.
      mean_log_depth: of the training pixels, in metres; is added to the decoder's result.

    Raises:
      ConfigError: a value that is not allowed.

    Example:
      >>> from jaxode.models.depth_config import DepthModelConfig
      >>> DepthModelConfig("odenet", height=64, columns=96).solves
      True
    """

    encoder: str = "odenet"
    width: int = 64
    vgg_width: float = 0.25
    decoder: int = 64
    height: int = 120
    columns: int = 160
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.25, 0.25, 0.25)
    mean_log_depth: float = 1.0

    def __post_init__(self) -> None:
        require_choice("encoder", self.encoder, ENCODERS)
        for name, step in (("width", 8), ("decoder", 32)):
            value = getattr(self, name)
            require_count(name, value)
            require(value % step == 0, name, value, f"a multiple of {step}")
        for name in ("height", "columns"):
            require_count(name, getattr(self, name), SMALLEST_SIDE)
        numbers = (self.vgg_width, *self.std, *self.mean, self.mean_log_depth)
        require(all(map(math.isfinite, numbers)), "numbers", numbers, "finite")
        require(min(self.std) > 0, "std", self.std, "above 0")

    @property
    def solves(self) -> bool:
        """Whether the encoder solves ODEs."""
        return self.encoder == "odenet"

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> DepthModelConfig:
        """The settings that `dataclasses.asdict` gave. Raises ConfigError."""
        check_names(cls, values, FILE)
        given = dict(values)
        for name in ("mean", "std"):
            colours = given[name]
            right = isinstance(colours, list | tuple) and len(colours) == 3
            right = right and all(type(each) in (int, float) for each in colours)
            require(right, name, colours, "three numbers")
            given[name] = tuple(map(float, colours))
        for name in ("vgg_width", "mean_log_depth"):
            require(type(given[name]) in (int, float), name, given[name], "a number")
        return cls(**given)


def create_depth_model(
    config: DepthModelConfig,
    solve: SolveConfig,
    rngs: nnx.Rngs,
    dtype: DTypeLike = jnp.float32,
    *,
    kernels: KernelsName = "auto",
) -> DepthNet:
    """A model with initial parameters.

    Args:
      config: which model.
      solve: how its ODEs are solved, if it has some.
      rngs: stream `params` of keys.
      dtype: floating-point type of the parameters.
      kernels: convolutions and norms, by name.

    Raises:
      ConfigError: a width of VGG that leaves no whole number of channels, or kernels that cannot
        be used.

    Example:
      >>> from flax import nnx
      >>> from jaxode import SolveConfig
      >>> from jaxode.models import parameter_count
      >>> from jaxode.models.depth_config import DepthModelConfig, create_depth_model
      >>> def build():
      ...     return create_depth_model(DepthModelConfig("vgg16"), SolveConfig(), nnx.Rngs(0))
      >>> parameter_count(nnx.eval_shape(build))
      1123073
    """
    outside = choose_kernels(requested=kernels)
    both: dict[str, Any] = {"kernels": outside, "rngs": rngs, "dtype": dtype}
    if config.encoder == "vgg16":
        encoder: Encoder = VGGEncoder(config.vgg_width, **both)
    elif config.encoder == "resnet":
        encoder = ChainEncoder(config.width, None, **both)
    else:
        implicit = solve.solver_facts.implicit
        inside = choose_kernels(forward_mode=implicit, requested=kernels)
        encoder = ChainEncoder(config.width, solve, field_kernels=inside, **both)
    decoder = DepthDecoder(encoder.channels, config.decoder, **both)
    return DepthNet(encoder, decoder, config.mean_log_depth)
