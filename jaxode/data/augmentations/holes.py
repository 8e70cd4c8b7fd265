"""Rectangles that are blotted out: coarse dropout and cutout. A part that draws, and one that does.

Coarse dropout is that of Albumentations 2.0: one or two holes, each side of each a tenth to a fifth
of the image's, all within the image. Those of the plan's day, eight holes of 8 x 8 pixels for
either augmentation, mean something else for every size of image. Cutout, which 2.0 has no more, is
DeVries and Taylor's (2017): one square whose centre may be any pixel, so that a part of it may lie
outside. Theirs is half of a side for CIFAR-10's ten classes and a quarter for CIFAR-100's; a
quarter is taken here, because a sign may differ from another by one finger.

The plan makes holes after it has normalised, and fills them with 0, which is the set's mean. Middle
grey stands for it here (the ASL alphabet's mean is 0.52, 0.50, 0.51), so that no augmentation has
to know the set.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from jaxode.data.augmentations.draws import below, between, numbers

GREY = 0.5

HOLES = 2
"""Most holes of a coarse dropout."""

SIDES = (0.1, 0.2)
"""Of one of its holes, as shares of the image's."""

SQUARE = 0.25
"""Side of a cutout, as a share of the image's shorter one."""

Boxes = Int[Array, "N 4"]
"""Top, left, height and width of each hole in pixels."""


def draw_coarse_dropout(key: PRNGKeyArray, height: int, width: int) -> Boxes:
    """One hole or two, with equal chance; the one that is left out has no pixels."""
    drawn = numbers(key, 1 + 4 * HOLES)
    count, drawn = 1 + below(drawn[0], HOLES), drawn[1:].reshape(4, HOLES)
    size = jnp.array([[height], [width]], jnp.float32)
    sides = jnp.maximum(jnp.floor(size * between(drawn[:2], *SIDES)), 1).astype(jnp.int32)
    corners = below(drawn[2:], size - sides + 1)
    return jnp.concatenate([corners, sides * (jnp.arange(HOLES) < count)]).T


def draw_cutout(key: PRNGKeyArray, height: int, width: int) -> Boxes:
    """One square around any pixel of the image."""
    side = max(round(SQUARE * min(height, width)), 1)
    centre = below(numbers(key, 2), jnp.array([height, width]))
    return jnp.concatenate([centre - side // 2, jnp.full(2, side, jnp.int32)])[None]


def blotted(image: Float[Array, "H W C"], holes: Boxes) -> Float[Array, "H W C"]:
    """Grey where a hole is."""
    height, width, _ = image.shape
    top, left, high, wide = holes.T[..., None]
    rows, columns = jnp.arange(height), jnp.arange(width)
    inside_rows, inside_columns = (
        (top <= rows) & (rows < top + high),
        (left <= columns) & (columns < left + wide),
    )
    covered = jnp.any(inside_rows[:, :, None] & inside_columns[:, None, :], 0)
    return jnp.where(covered[..., None], jnp.asarray(GREY, image.dtype), image)
