"""Augmentations of images with boxes, on the device, by each image's random key.

A part that draws, and one that does. Every change of place is a scale and a shift along each axis,
perhaps mirrored, so that one reading of the image does all of them together, and boxes stay boxes.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from jaxode.data.augmentations import colour
from jaxode.data.augmentations.draws import between, chosen, numbers
from jaxode.data.augmentations.sampling import bilinear

ZOOM = (0.8, 1.4)
"""Range of the factor by which an image is enlarged."""

STRETCH = (0.9, 1.1)
"""Range of the factor of its width alone."""

LEAST_SHARE = 0.3
"""Part of an object's area that must remain within the image, or it counts as none."""

PLACES, COLOURS, HALF = 201, 202, 0.5
"""What a key is folded with for changes of place and of colour; how often an image is mirrored."""


class Move(NamedTuple):
    """x and y of the image → x' = scale · x + shift, likewise y; a negative scale mirrors."""

    scale: Float[Array, " 2"]
    """Along x and y."""
    shift: Float[Array, " 2"]


def draw_move(
    key: PRNGKeyArray, extent: Float[Array, " 2"], *, flip: bool, resize: bool, crop: bool
) -> Move:
    """A mirroring along each axis, an enlargement, and a place for the window.

    Args:
      key: of the image.
      extent: its height and width in pixels.
      flip: whether it may be mirrored.
      resize: whether it may change its size.
      crop: whether a window that is smaller than the enlarged image, or larger than the reduced
        one, may be anywhere; else it is in the middle.
    """
    drawn = numbers(key, 6)
    sides = extent[::-1].astype(jnp.float32)
    zoom = between(drawn[0], *ZOOM) if resize else jnp.float32(1)
    stretch = between(drawn[1], *STRETCH) if resize else jnp.float32(1)
    factor = jnp.stack([zoom * stretch, zoom])
    place = drawn[2:4] if crop else jnp.full(2, 0.5, jnp.float32)
    shift = place * (sides - factor * sides)
    mirrored = (drawn[4:6] < HALF) & flip
    # Mirrored within the window, which is as large as the image: x' → side - x'.
    return Move(jnp.where(mirrored, -factor, factor), jnp.where(mirrored, sides - shift, shift))


def moved_image(
    image: Float[Array, "H W C"], extent: Float[Array, " 2"], move: Move
) -> Float[Array, "H W C"]:
    """The image read where each pixel comes from; black where that is not in it.

    Args:
      image: values in [0, 1].
      extent: height and width of what the canvas shows.
      move: of its pixels.
    """
    scale, shift = move.scale.astype(image.dtype), move.shift.astype(image.dtype)
    positions, inside = [], []
    for axis, size in ((1, image.shape[0]), (0, image.shape[1])):
        centres = jnp.arange(size, dtype=image.dtype) + 0.5
        source = (centres - shift[axis]) / scale[axis]
        side = extent[1 - axis].astype(image.dtype)
        inside.append((source >= 0) & (source <= side) & (centres <= side))
        positions.append(jnp.clip(source - 0.5, 0, side - 1))
    read = bilinear(image, positions[0][:, None], positions[1][None])
    return jnp.where((inside[0][:, None] & inside[1][None])[..., None], read, 0)


def moved_boxes(
    boxes: Float[Array, "M 4"], classes: Int[Array, " M"], extent: Float[Array, " 2"], move: Move
) -> tuple[Float[Array, "M 4"], Int[Array, " M"]]:
    """Boxes after a move, clipped to the image; what hardly shows any more has class -1.

    Args:
      boxes: in pixels.
      classes: of the objects.
      extent: height and width of what the canvas shows.
      move: of the pixels.
    """
    scale, shift = move.scale.astype(boxes.dtype), move.shift.astype(boxes.dtype)
    one, other = boxes[:, :2] * scale + shift, boxes[:, 2:] * scale + shift
    low, high = jnp.minimum(one, other), jnp.maximum(one, other)
    sides = extent[::-1].astype(boxes.dtype)
    start, end = jnp.clip(low, 0, sides), jnp.clip(high, 0, sides)
    area, whole = jnp.prod(end - start, 1), jnp.prod(high - low, 1)
    shown = (classes >= 0) & (area >= LEAST_SHARE * whole) & jnp.all(end - start >= 1, 1)
    placed = jnp.where(shown[:, None], jnp.concatenate([start, end], 1), 0)
    return placed, jnp.where(shown, classes, -1)


def recoloured(key: PRNGKeyArray, image: Float[Array, "H W 3"]) -> Float[Array, "H W 3"]:
    """Brightness and contrast changed half of the time, hue, saturation and value as often.

    Args:
      key: of the image.
      image: values in [0, 1].
    """
    light, how_light, shift, how_shift = jax.random.split(key, 4)
    lit = colour.lit(image, colour.draw_light(how_light))
    image = jnp.where(chosen(light, HALF), lit, image)
    # A tenth of what a classifier of hand signs stands: stains are known by their hue.
    drawn = colour.draw_shift(how_shift) * jnp.array([0.1, 1, 1], jnp.float32)
    return jnp.where(chosen(shift, HALF), colour.shifted(image, drawn), image)
