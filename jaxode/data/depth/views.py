"""What becomes of pictures and depth on the device: normalisation, masks, random views.

A random view moves depth with the picture. A picture that is enlarged by a factor shows everything
as if it were that much nearer, so depth is divided by it. Every view is a function of the example's
key, as in `jaxode.data.augmentations`.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from jaxode.checks import require_choice
from jaxode.data.augmentations.draws import between, numbers
from jaxode.data.augmentations.sampling import bilinear
from jaxode.data.depth.crop import eigen_crop
from jaxode.data.preprocessing import Batch, Views

AUGMENTATIONS = ("flip", "zoom", "rotate", "colour")
"""By name: left and right exchanged, with probability 1/2; enlarged or reduced by a factor of up to
1.25 and shifted; turned by at most 5 degrees; each colour times 0.8 to 1.2. They are those of Eigen
et al. 2014, section 3.4, and Laina et al. 2016, section 4, but for one: they enlarge alone, by 1 to
1.5, so that training shows rooms that are a fifth nearer than those of the test. Here the zoom's
logarithm is uniform about 0."""

ZOOM, DEGREES, GAIN = 1.25, 5.0, 0.2


class View(NamedTuple):
    """Where a random view of a picture lies, and how it is coloured."""

    flipped: Bool[Array, ""]
    zoom: Float[Array, ""]
    """Above 1 enlarges."""
    down: Float[Array, ""]
    """Of the centre, -1 to 1: at the ends, the view and the picture share a border."""
    right: Float[Array, ""]
    degrees: Float[Array, ""]
    gains: Float[Array, " 3"]
    """Of red, green and blue."""


def draw_view(key: PRNGKeyArray, names: Collection[str] = AUGMENTATIONS) -> View:
    """A view from a key; leaving an augmentation out changes no other's draw."""
    drawn = numbers(key, 8)

    def within(name: str, number: Float[Array, "*S"], low: float, high: float) -> Array:
        return (
            between(number, low, high) if name in names else jnp.full_like(number, (low + high) / 2)
        )

    most = math.log(ZOOM)
    return View(
        flipped=(drawn[0] < 0.5) & ("flip" in names),
        zoom=jnp.exp(within("zoom", drawn[1], -most, most)),
        down=within("zoom", drawn[2], -1, 1),
        right=within("zoom", drawn[3], -1, 1),
        degrees=within("rotate", drawn[4], -DEGREES, DEGREES),
        gains=within("colour", drawn[5:8], 1 - GAIN, 1 + GAIN),
    )


def seen(
    view: View, image: Float[Array, "H W 3"], depth: Float[Array, "H W"]
) -> tuple[Float[Array, "H W 3"], Float[Array, "H W"]]:
    """A view of a picture and of its depth.

    Every pixel looks up where it came from. Of the picture it reads the four pixels around, of the
    depth the nearest, for a mean across an edge is the depth of nothing.

    Args:
      view: as it is drawn.
      image: values in [0, 1].
      depth: in metres; 0 where it is unknown.

    Returns:
      Picture, and depth divided by the zoom; 0 where it is unknown or lies outside of the picture.
    """
    height, width = depth.shape
    zoom, degrees = (number.astype(image.dtype) for number in (view.zoom, view.degrees))
    angle = degrees * (math.pi / 180)
    cos, sin = jnp.cos(angle) / zoom, jnp.sin(angle) / zoom
    middle, centre = (height - 1) / 2, (width - 1) / 2
    y = (jnp.arange(height, dtype=image.dtype) - middle)[:, None]
    x = (jnp.arange(width, dtype=image.dtype) - centre)[None]
    spare = 1 - 1 / zoom
    rows = sin * x + cos * y + middle * (1 + spare * view.down.astype(image.dtype))
    columns = cos * x - sin * y + centre * (1 + spare * view.right.astype(image.dtype))
    columns = jnp.where(view.flipped, width - 1 - columns, columns)
    inside = (rows > -0.5) & (rows < height - 0.5) & (columns > -0.5) & (columns < width - 0.5)
    rows, columns = jnp.clip(rows, 0, height - 1), jnp.clip(columns, 0, width - 1)
    coloured = jnp.clip(bilinear(image, rows, columns) * view.gains.astype(image.dtype), 0, 1)
    nearest = depth[jnp.round(rows).astype(jnp.int32), jnp.round(columns).astype(jnp.int32)]
    return coloured, jnp.where(inside, nearest / zoom.astype(depth.dtype), 0)


def depth_views(
    mean: Sequence[float],
    std: Sequence[float],
    augmentations: Collection[str] = AUGMENTATIONS,
    *,
    eigen: bool = False,
) -> Views:
    """The transforms of batches of `image` (uint8), and `depth` in metres, 0 where it is unknown.

    Args:
      mean: of each colour from 0 to 1, which is subtracted.
      std: of each colour, by which it is divided.
      augmentations: names of AUGMENTATIONS, for training.
      eigen: whether evaluation measures Eigen's crop alone.

    Returns:
      Batches of normalised pictures `image`, `depth` of at least 0 and `mask`, where it counts.

    Raises:
      ConfigError: an unknown augmentation.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxode.data.depth.views import depth_views
      >>> stored = {"image": jnp.full((1, 8, 8, 3), 255, jnp.uint8), "depth": jnp.eye(8)[None]}
      >>> batch = depth_views((0.5,) * 3, (0.25,) * 3).evaluation(stored)
      >>> float(batch["image"].max()), int(batch["mask"].sum())
      (2.0, 8)
    """
    for name in augmentations:
        require_choice("augment", name, AUGMENTATIONS)
    middle, spread = (jnp.asarray(each, jnp.float32) for each in (mean, std))

    def shown(batch: Batch, images: Array, depth: Array, where: Array) -> Batch:
        dtype = images.dtype
        normalised = (images - middle.astype(dtype)) / spread.astype(dtype)
        return {**batch, "image": normalised, "depth": depth, "mask": where.astype(dtype)}

    def training(batch: Batch) -> Batch:
        images, depth = _unit(batch), batch["depth"]
        if augmentations:
            views = jax.vmap(partial(draw_view, names=augmentations))(batch["key"])
            images, depth = jax.vmap(seen)(views, images, depth)
        return shown(batch, images, depth, depth > 0)

    def evaluation(batch: Batch) -> Batch:
        depth = batch["depth"]
        where = depth > 0
        if eigen:
            kept = jnp.zeros(depth.shape[1:], bool).at[eigen_crop(*depth.shape[1:])].set(True)
            where = where & kept
        return shown(batch, _unit(batch), depth, where)

    return Views(training, evaluation)


def _unit(batch: Batch) -> Float[Array, "B H W 3"]:
    """Pictures from 0 to 1 in the type of depth."""
    return batch["image"].astype(batch["depth"].dtype) / 255
