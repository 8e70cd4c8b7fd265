"""Where a pixel comes from: crop, transpose, flips, shift-scale-rotate.

A part that draws, and one that does.

Ranges are Albumentations' defaults, which the plan leaves alone, but for one: a random resized crop
takes 0.6 of the image or more, where the library takes 0.08 or more. A sign is made by the whole
hand, and a twelfth of the picture may show none of it. Shift-scale-rotate is that of the plan's
day, before 2.0: beyond the border lies the mirror image, both directions are scaled alike, and
shifts are not rounded to pixels.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from jaxode.data.augmentations.draws import below, between, numbers
from jaxode.data.augmentations.sampling import bilinear, mirrored

AREA = (0.6, 1.0)
"""Of the image, that a crop takes."""

RATIO = (3 / 4, 4 / 3)
"""Of a crop's width to its height: torchvision's range, and Albumentations'."""

SHIFT, SCALE, DEGREES = 0.0625, 0.1, 45.0
"""Largest shift, as a share of a side; change of scale; turn."""

Image = Float[Array, "H W C"]
Box = Int[Array, " 4"]
"""Top, left, height and width in pixels."""


class Turn(NamedTuple):
    """A shift, a scale and a rotation about the image's centre."""

    down: Float[Array, ""]
    """Share of the height."""
    right: Float[Array, ""]
    """Share of the width."""
    scale: Float[Array, ""]
    """Above 1 enlarges."""
    degrees: Float[Array, ""]
    """Counter-clockwise."""


def draw_crop(key: PRNGKeyArray, height: int, width: int) -> Box:
    """A window by torchvision's rule: uniform area, log-uniform ratio, uniform place.

    Where torchvision draws again because a side is longer than the image's, it is cut to the
    image's.
    """
    drawn = numbers(key, 4)
    area = height * width * between(drawn[0], *AREA)
    ratio = jnp.exp(between(drawn[1], math.log(RATIO[0]), math.log(RATIO[1])))
    high = jnp.clip(jnp.round(jnp.sqrt(area / ratio)), 1, height).astype(jnp.int32)
    wide = jnp.clip(jnp.round(jnp.sqrt(area * ratio)), 1, width).astype(jnp.int32)
    return jnp.stack(
        [below(drawn[2], height - high + 1), below(drawn[3], width - wide + 1), high, wide]
    )


def crop_resize(image: Image, box: Box) -> Image:
    """The window enlarged to the image's size as cv2.resize does, which repeats its border."""
    height, width, _ = image.shape

    def positions(start: Array, length: Array, size: int) -> Array:
        start, length = start.astype(image.dtype), length.astype(image.dtype)
        centres = (jnp.arange(size, dtype=image.dtype) + 0.5) * (length / size) - 0.5
        return start + jnp.clip(centres, 0, length - 1)

    top, left, high, wide = box
    return bilinear(
        image, positions(top, high, height)[:, None], positions(left, wide, width)[None]
    )


def transposed(image: Float[Array, "N N C"]) -> Float[Array, "N N C"]:
    """Rows and columns exchanged."""
    return jnp.swapaxes(image, 0, 1)


def flipped_horizontally(image: Image) -> Image:
    """Left and right exchanged."""
    return image[:, ::-1]


def flipped_vertically(image: Image) -> Image:
    """Top and bottom exchanged."""
    return image[::-1]


def draw_turn(key: PRNGKeyArray) -> Turn:
    """Each of its numbers uniform within its limits."""
    drawn = numbers(key, 4)
    return Turn(
        down=between(drawn[0], -SHIFT, SHIFT),
        right=between(drawn[1], -SHIFT, SHIFT),
        scale=between(drawn[2], 1 - SCALE, 1 + SCALE),
        degrees=between(drawn[3], -DEGREES, DEGREES),
    )


def turned(image: Image, turn: Turn) -> Image:
    """The image scaled and rotated about its centre, then shifted; beyond it, its reflection.

    Every pixel looks up where it came from, by the inverse of the map that cv2.getRotationMatrix2D
    writes down.
    """
    height, width, _ = image.shape
    down, right, scale, degrees = (number.astype(image.dtype) for number in turn)
    angle = degrees * (math.pi / 180)
    cos, sin = jnp.cos(angle) / scale, jnp.sin(angle) / scale
    middle, centre = (height - 1) / 2, (width - 1) / 2
    y = (jnp.arange(height, dtype=image.dtype) - middle - down * height)[:, None]
    x = (jnp.arange(width, dtype=image.dtype) - centre - right * width)[None]
    rows, columns = sin * x + cos * y + middle, cos * x - sin * y + centre
    return bilinear(image, mirrored(rows, height), mirrored(columns, width))
