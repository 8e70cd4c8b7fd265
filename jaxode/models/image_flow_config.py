"""A flow of images from its settings, which a run of density estimation records beside its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import jax.numpy as jnp
from flax import nnx

from jaxode.checks import require, require_choice, require_count
from jaxode.config import SolveConfig
from jaxode.models.image_flow import ImageFlow
from jaxode.models.image_scales import ImageScales
from jaxode.models.recorded_settings import settings_of
from jaxode.nn import ImageField
from jaxode.nn.divergence import NOISES
from jaxode.nn.flow_fields import SMOOTH
from jaxode.nn.image_field import LAYERS, ImageShape, check_strides

FILE = "image_flow.json"
"""Where a run has them."""


@dataclass(frozen=True)
class ImageFlowConfig:
    """Which flow of images.

    Args:
      height: of an image.
      width: of an image.
      channels: of an image.
      hidden: channels between the convolutions of a field, joined by commas.
      strides: of each convolution, one more: 1, 2 to halve the size, -2 to double it; 1 throughout
        on several scales.
      layer: concat or concatsquash.
      activation: between the convolutions.
      scales: number of scales.
      blocks: number of ODEs in a row.
      noise: of Hutchinson's estimator.

    Raises:
      ConfigError: a value that is not allowed.

    Example:
      >>> from jaxode.models.image_flow_config import ImageFlowConfig
      >>> ImageFlowConfig(28, 28, 1).numbers("strides")
      (2, 2, 1, -2, -2)
    """

    height: int
    width: int
    channels: int
    hidden: str = "8,32,32,8"
    strides: str = "2,2,1,-2,-2"
    layer: str = "concat"
    activation: str = "softplus"
    scales: int = 1
    blocks: int = 1
    noise: str = "rademacher"

    def __post_init__(self) -> None:
        require_choice("field", self.layer, tuple(LAYERS))
        require_choice("activation", self.activation, tuple(SMOOTH))
        require_choice("divergence", self.noise, tuple(NOISES))
        for name in ("height", "width", "channels", "scales", "blocks"):
            require_count(name, getattr(self, name))
        hidden, strides = self.numbers("hidden"), self.numbers("strides")
        require(min(hidden) > 0, "hidden", self.hidden, "channels of at least 1")
        for shape in ImageScales(self.shape, self.scales, self.blocks).shapes:
            check_strides(shape, hidden, strides)

    @property
    def shape(self) -> ImageShape:
        """Height, width and channels."""
        return self.height, self.width, self.channels

    def numbers(self, name: str) -> tuple[int, ...]:
        """The whole numbers of `hidden` or `strides`. Raises ConfigError."""
        text = getattr(self, name)
        words = [word.removeprefix("-") for word in text.split(",")]
        whole = all(word.isascii() and word.isdecimal() and len(word) < 6 for word in words)
        require(whole, name, text, "whole numbers joined by commas, as in 2,1,-2")
        return tuple(map(int, text.split(",")))

    @classmethod
    def from_json(cls, values: Mapping[str, object]) -> ImageFlowConfig:
        """The settings that `dataclasses.asdict` gave. Raises ConfigError."""
        return settings_of(cls, values, FILE)


def create_image_flow(config: ImageFlowConfig, solve: SolveConfig, rngs: nnx.Rngs) -> ImageFlow:
    """A flow with initial parameters, in float32: end times of 1, trained, as in FFJORD's code.

    Args:
      config: which flow.
      solve: how its ODEs are solved.
      rngs: stream `params` of keys.

    Example:
      >>> from flax import nnx
      >>> from jaxode import SolveConfig
      >>> from jaxode.models.image_flow_config import ImageFlowConfig, create_image_flow
      >>> config = ImageFlowConfig(8, 8, 1, hidden="4", strides="1,1", scales=2)
      >>> create_image_flow(config, SolveConfig(), nnx.Rngs(0)).dimensions
      64
    """

    def field(shape: ImageShape) -> ImageField:
        return ImageField(
            shape,
            config.numbers("hidden"),
            config.numbers("strides"),
            config.layer,
            config.activation,
            rngs=rngs,
            dtype=jnp.float32,
        )

    return ImageFlow(
        config.shape,
        field,
        solve,
        scales=config.scales,
        blocks=config.blocks,
        trained_time=True,
        noise=config.noise,
    )
