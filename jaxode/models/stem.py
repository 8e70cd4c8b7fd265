"""The stem of models with a chain of blocks, and the smallest image that it accepts."""

from __future__ import annotations

from jaxode.checks import ConfigError
from jaxode.models.base import Request
from jaxode.nn.stems import Downsample

SMALLEST_IMAGE = 6
"""Pixels a side for three convolutions; every further convolution doubles it."""


def build_stem(request: Request) -> Downsample:
    """A stem with initial parameters.

    Args:
      request: `model.stem_convolutions`, `model.width` and `image_shape` are its own.

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
    return Downsample(
        channels,
        model.width,
        model.stem_convolutions,
        kernels=request.kernels,
        rngs=request.rngs,
        dtype=request.dtype,
    )
