"""What a detector sees of stored images with boxes: normalised, and in training augmented."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal, get_args

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray

from jaxode.checks import require_choice
from jaxode.data.augment import unit
from jaxode.data.detection.augment import (
    COLOURS,
    PLACES,
    draw_move,
    moved_boxes,
    moved_image,
    recoloured,
)
from jaxode.data.preprocessing import Batch, Views

AugmentationName = Literal["flip", "resize", "crop", "colour"]
AUGMENTATIONS: tuple[AugmentationName, ...] = get_args(AugmentationName)
"""flip: mirrored along each axis half of the time; resize: 0.8 to 1.4 times as large; crop: the
window of that anywhere, not in the middle; colour: of light, contrast and stain."""


def detection_views(
    mean: Sequence[float],
    std: Sequence[float],
    augmentations: Collection[AugmentationName] = AUGMENTATIONS,
    dtype: DTypeLike = jnp.float32,
) -> Views:
    """Transforms of batches with the arrays of `BoxedImages.examples`.

    Padding of a canvas is 0, the mean colour.

    Args:
      mean: of each channel's pixels, of 0 to 1.
      std: standard deviation of each channel's pixels.
      augmentations: what is done to training images.
      dtype: of what the model sees.

    Raises:
      ConfigError: an augmentation that there is none of.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxode.data.detection.views import detection_views
      >>> batch = {
      ...     "image": jnp.full((1, 8, 8, 3), 255, jnp.uint8), "extent": jnp.full((1, 2), 8.0),
      ...     "boxes": jnp.zeros((1, 1, 4)), "classes": jnp.full((1, 1), -1),
      ... }
      >>> view = detection_views([0.5] * 3, [0.25] * 3).evaluation(batch)
      >>> view["image"][0, 0, 0].tolist()
      [2.0, 2.0, 2.0]
    """
    for name in augmentations:
        require_choice("augment", name, AUGMENTATIONS)
    geometry = {name: name in augmentations for name in ("flip", "resize", "crop")}

    def normalised(image: Float[Array, "H W 3"], extent: Float[Array, " 2"]) -> Array:
        centred = (image - jnp.asarray(mean, dtype)) / jnp.asarray(std, dtype)
        rows, columns = (jnp.arange(size, dtype=extent.dtype) for size in image.shape[:2])
        shown = (rows < extent[0])[:, None] & (columns < extent[1])
        return jnp.where(shown[..., None], centred, 0)

    def augmented(
        key: PRNGKeyArray, image: Array, extent: Array, boxes: Array, classes: Array
    ) -> tuple[Array, Array, Array]:
        if any(geometry.values()):
            move = draw_move(jax.random.fold_in(key, PLACES), extent, **geometry)
            image = moved_image(image, extent, move)
            boxes, classes = moved_boxes(boxes, classes, extent, move)
        if "colour" in augmentations:
            image = recoloured(jax.random.fold_in(key, COLOURS), image)
        return normalised(image, extent), boxes, classes

    def training(batch: Batch) -> Batch:
        image, boxes, classes = jax.vmap(augmented)(
            batch["key"],
            unit(batch["image"], dtype),
            batch["extent"],
            batch["boxes"].astype(dtype),
            batch["classes"],
        )
        return {**batch, "image": image, "boxes": boxes, "classes": classes}

    def evaluation(batch: Batch) -> Batch:
        image = jax.vmap(normalised)(unit(batch["image"], dtype), batch["extent"])
        return {**batch, "image": image, "boxes": batch["boxes"].astype(dtype)}

    return Views(training, evaluation)
