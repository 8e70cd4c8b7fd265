"""What a model sees of stored images: in training with random keys, in evaluation without them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxode.checks import any_of, require
from jaxode.config import RunConfig
from jaxode.data.augment import evaluation_views, training_views
from jaxode.data.augmentations import augmented, require_shape
from jaxode.data.specs import DatasetSpec
from jaxode.types import Images, Keys, Pixels

Batch = dict[str, Array]
"""Arrays with a leading batch axis, by name."""


class Views(NamedTuple):
    """How stored batches become what a model sees. Both transforms take and return whole batches.

    Args:
      training: may use `key` [B], a random key for each example.
      evaluation: for batches without `key`.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxode.data import Views
      >>> def scaled(batch):
      ...     return {**batch, "input": batch["input"] / 255}
      >>> Views(scaled, scaled).evaluation({"input": jnp.array([[0, 255]])})["input"].tolist()
      [[0.0, 1.0]]
    """

    training: Callable[[Batch], Batch]
    evaluation: Callable[[Batch], Batch]


UNCHANGED = Views(lambda batch: batch, lambda batch: batch)
"""Batches as they are stored."""


def view_shape(config: RunConfig, spec: DatasetSpec) -> tuple[int, int, int]:
    """Shape of the images that a model sees.

    Args:
      config: settings of a run.
      spec: facts of its data set.

    Returns:
      Height, width and channels.

    Example:
      >>> from jaxode.config import RunConfig
      >>> from jaxode.data import SPECS, view_shape
      >>> view_shape(RunConfig(), SPECS["cifar10"])
      (28, 28, 3)
    """
    return spec.view_size, spec.view_size, spec.images.channels(config, spec)


def views(config: RunConfig, spec: DatasetSpec) -> Views:
    """The transforms of a run: from batches as they are stored to what a model sees.

    Args:
      config: its settings.
      spec: facts of its data set.

    Returns:
      A transform for training, which crops and augments, and one for evaluation.

    Raises:
      ConfigError: the settings ask for what these images do not have.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxode.config import RunConfig
      >>> from jaxode.data import SPECS, views
      >>> stored = {"image": jnp.zeros((2, 32, 32, 3), jnp.uint8)}
      >>> views(RunConfig(), SPECS["cifar10"]).evaluation(stored)["image"].shape
      (2, 28, 28, 3)
    """
    crop, allowed = config.data.crop, any_of(spec.crops)
    require(crop in spec.crops, "crop", crop, f"{allowed} for {spec.name}")
    return spec.images.views(config, spec)


def picture_views(config: RunConfig, spec: DatasetSpec) -> Views:
    """Augmented and cropped pictures, normalised or from 0 to 1, as `config.data.pixels` says.

    Raises ConfigError if they are too small for an augmentation.
    """
    names, crop, dtype = config.data.augmentations, config.data.crop, jnp.dtype(config.dtype)
    require_shape(names, spec.image_size, spec.image_size, spec.channels)
    side = spec.view_size
    mean, std = (None, None) if config.data.pixels == "unit" else (spec.mean, spec.std)

    def training(keys: Keys, images: Pixels) -> Images:
        if names:
            images = 255 * augmented(keys, images.astype(dtype) / 255, names)
        return training_views(keys, images, mean, std, dtype, crop, side)

    return Views(
        lambda batch: {**batch, "image": training(batch["key"], batch["image"])},
        lambda batch: {**batch, "image": evaluation_views(batch["image"], mean, std, dtype, side)},
    )


def radar_views(config: RunConfig, spec: DatasetSpec) -> Views:
    """Band 1, band 2, their mean, and the incidence angle if `config.data.angle` is set.

    They are normalised to about mean 0 and standard deviation 1 by constants, which the first batch
    norm of the nets for these images undoes. A model of a single band sees band 1, divided by its
    largest absolute value image by image. A missing angle is replaced by the mean.
    """
    single_band, dtype = config.model.facts.single_band, jnp.dtype(config.dtype)
    mean, std = jnp.asarray(spec.mean, dtype), jnp.asarray(spec.std, dtype)

    def shown(stored: Float[Array, "B H W 3"]) -> Images:
        stored = stored.astype(dtype)
        if single_band:
            band = stored[..., :1]
            largest = jnp.max(jnp.abs(band), (1, 2, 3), keepdims=True)
            return band / jnp.where(largest > 0, largest, 1)
        one, two, angle = jnp.split(
            (jnp.where(jnp.isnan(stored), mean, stored) - mean) / std, 3, -1
        )
        return jnp.concatenate(
            [one, two, (one + two) / 2, *([angle] if config.data.angle else [])], -1
        )

    def of_batch(batch: Batch) -> Batch:
        return {**batch, "image": shown(batch["image"])}

    return Views(of_batch, of_batch)
