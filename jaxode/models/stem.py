"""The stem of models with a chain of blocks, and the smallest image that it accepts."""

from __future__ import annotations

from typing import Any

from jaxode.checks import ConfigError
from jaxode.models.base import Request
from jaxode.nn.residual_downsampling import ResidualDownsample
from jaxode.nn.stems import Downsample

Stem = Downsample | ResidualDownsample
"""A module from images [B, H, W, channels] to the state [B, H', W', width]."""

SMALLEST_IMAGE = 6
"""Pixels a side for three convolutions; every further convolution doubles it."""


def build_stem(request: Request) -> Stem:
    """A stem with initial parameters.

    Args:
      request: `model.downsampling_method`, `model.stem`, `model.width` and `image_shape` are its
        own.

    Raises:
      ConfigError: an image is too small for the stem.
    """
    model, (height, width, channels) = request.model, request.image_shape
    least = 2 ** (model.stem_convolutions - 3) * (SMALLEST_IMAGE - 2) + 2
    if min(height, width) < least:
        raise ConfigError(
            f"image_shape must be at least {least} pixels a side for stem {model.stem}, got"
            f" {height} x {width}"
        )
    shared: dict[str, Any] = {
        "kernels": request.kernels,
        "rngs": request.rngs,
        "dtype": request.dtype,
    }
    if model.downsampling_method == "res":
        return ResidualDownsample(channels, model.width, model.stem_blocks, **shared)
    return Downsample(channels, model.width, model.stem_convolutions, **shared)
