"""What happens to stored pixels on the device: normalise, resize, crop.

Pure functions, for use inside jit.

Every image has a random key of its own, so that a part of a batch is drawn as in the whole.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray

from jaxode.config import CropName
from jaxode.types import Images, Keys, Pixels

CROP = 28
"""Pixels a side of what a model sees of images that are enlarged before they are cropped."""

ENLARGED = 8 / 7
"""By how much Gładzik (2019) enlarges an image before it takes its training crops: 28 to 32 pixels
a side.
"""

PADDING = 4
"""Black pixels on each side from which Chen et al. take theirs."""


def resize_matrix(old: int, new: int) -> np.ndarray:
    """Weights [new, old] of bilinear, anti-aliased resizing along one axis.

    Pixel centres are at half integers.

    Shrinking widens the triangle kernel by the ratio, as Pillow and torch's `antialias=True` do;
    rows sum to one.
    """
    scale = old / new
    support = max(scale, 1.0)
    centres = (np.arange(new) + 0.5) * scale
    distance = np.abs(np.arange(old)[None] + 0.5 - centres[:, None]) / support
    weights = np.maximum(0.0, 1.0 - distance)
    return weights / weights.sum(1, keepdims=True)


def unit(images: Pixels, dtype: DTypeLike = jnp.float32) -> Images:
    """Bytes over 255, from 0 to 1: the bits of torchvision's ToTensor."""
    if images.dtype != jnp.uint8:
        return images.astype(dtype) / 255
    # XLA multiplies by a rounded 1 / 255, which makes half of the 256 levels another number.
    levels = np.arange(256, dtype=dtype) / np.asarray(255, dtype)
    return jnp.asarray(levels)[images]


def normalise(
    images: Pixels,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    dtype: DTypeLike = jnp.float32,
) -> Images:
    """(pixel / 255 - mean) / std, channel by channel; pixel / 255 without mean and std."""
    if mean is None or std is None:
        return unit(images, dtype)
    scale = 1 / (255 * np.asarray(std))
    offset = -np.asarray(mean) / np.asarray(std)
    return images.astype(dtype) * jnp.asarray(scale, dtype) + jnp.asarray(offset, dtype)


def resize(images: Images, side: int) -> Images:
    """Bilinear, anti-aliased resizing to side x side: two small matrix products."""
    high = jax.lax.Precision.HIGHEST
    for axis in (1, 2):
        if images.shape[axis] != side:
            weights = jnp.asarray(resize_matrix(images.shape[axis], side), images.dtype)
            images = jnp.moveaxis(
                jnp.tensordot(weights, images, ((1,), (axis,)), precision=high), 0, axis
            )
    return images


def random_crop(keys: Keys, images: Images, side: int) -> Images:
    """A side x side window of each image, every offset equally likely."""
    height, width, channels = images.shape[1:]
    most = jnp.array([height - side + 1, width - side + 1], jnp.int32)

    def window(key: PRNGKeyArray, image: Array) -> Array:
        # 32 bits in float64 too: the same windows.
        corner = jax.random.randint(key, (2,), 0, most, jnp.int32)
        return jax.lax.dynamic_slice(
            image, (corner[0], corner[1], np.int32(0)), (side, side, channels)
        )

    return jax.vmap(window)(keys, images)


def pad(images: Images, width: int, value: Float[Array, " C"]) -> Images:
    """Pad every side by `width` pixels of a value.

    [B, H, W, C] → [B, H + 2 width, W + 2 width, C].
    """
    count, height, across, channels = images.shape
    around = jnp.broadcast_to(value, (count, height + 2 * width, across + 2 * width, channels))
    return around.at[:, width:-width, width:-width].set(images)


def training_views(
    keys: Keys,
    images: Pixels,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    dtype: DTypeLike = jnp.float32,
    crop: CropName = "resize",
    side: int = CROP,
) -> Images:
    """Normalised windows: [B, H, W, C] → [B, side, side, C]; 0 to 1 without mean and std.

    resize: a random one of the image resized to 8/7 of `side` (Gładzik 2019). It shows a part of
    7/8 a side, enlarged, where evaluation shows all. pad: a random one of the image resized to
    `side` with 4 black pixels around (torchdiffeq's odenet_mnist.py). none: what evaluation shows.
    """
    match crop:
        case "resize":
            return random_crop(
                keys, resize(normalise(images, mean, std, dtype), round(ENLARGED * side)), side
            )
        case "pad":
            black = normalise(jnp.zeros((1, 1, 1, images.shape[-1]), jnp.uint8), mean, std, dtype)[
                0, 0, 0
            ]
            return random_crop(
                keys, pad(evaluation_views(images, mean, std, dtype, side), PADDING, black), side
            )
        case "none":
            return evaluation_views(images, mean, std, dtype, side)


def evaluation_views(
    images: Pixels,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    dtype: DTypeLike = jnp.float32,
    side: int = CROP,
) -> Images:
    """Normalised and resized: [B, H, W, C] → [B, side, side, C]; 0 to 1 without mean and std."""
    return resize(normalise(images, mean, std, dtype), side)
