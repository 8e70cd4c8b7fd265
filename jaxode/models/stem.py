"""The stem that the chains of blocks share, and the smallest image that it takes."""

from __future__ import annotations

from jaxode.checks import ConfigError
from jaxode.models.base import Request
from jaxode.nn.stems import Downsample

SMALLEST_IMAGE = 6
"""Pixels a side; three convolutions leave nothing of a smaller image.

One more convolution needs twice as many.
"""


def build_stem(request: Request) -> Downsample:
    """A stem with fresh parameters. Raises ConfigError if an image is too small for it."""
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
