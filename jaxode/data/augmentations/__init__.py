"""Augmentations of training images in [0, 1], as pure functions of a random key.

They are those of a plan for the ASL alphabet, in its order.

The plan of Mukherjee and Sarkar, "Rule Discovery using Neural ODEs – ASL Classification"
(RandomResizedCrop, Transpose, HorizontalFlip, VerticalFlip, ShiftScaleRotate, HueSaturationValue,
RandomBrightnessContrast, CoarseDropout, Cutout), is written for Albumentations (Buslaev et al.
2020), which works image by image on the host. Here a whole batch is augmented on the device, inside
the compiled step. Each augmentation is a part that draws what to do and a part that does it, in
`geometry`, `colour` and `holes`; what is done is tested against OpenCV and SciPy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from jaxode.checks import ConfigError, require, require_choice
from jaxode.config import AugmentationName
from jaxode.data.augmentations import colour, geometry, holes
from jaxode.data.augmentations.draws import chosen
from jaxode.types import Images, Keys

Augmentation = Callable[[PRNGKeyArray, Float[Array, "H W C"]], Float[Array, "H W C"]]
"""A key and an image in [0, 1] → an image of the same shape and type in [0, 1]."""

ALWAYS: dict[AugmentationName, Augmentation] = {
    "random_resized_crop": lambda key, x: geometry.crop_resize(
        x, geometry.draw_crop(key, *x.shape[:2])
    ),
    "transpose": lambda key, x: geometry.transposed(x),
    "horizontal_flip": lambda key, x: geometry.flipped_horizontally(x),
    "vertical_flip": lambda key, x: geometry.flipped_vertically(x),
    "shift_scale_rotate": lambda key, x: geometry.turned(x, geometry.draw_turn(key)),
    "hue_saturation_value": lambda key, x: colour.shifted(x, colour.draw_shift(key)),
    "brightness_contrast": lambda key, x: colour.lit(x, colour.draw_light(key)),
    "coarse_dropout": lambda key, x: holes.blotted(x, holes.draw_coarse_dropout(key, *x.shape[:2])),
    "cutout": lambda key, x: holes.blotted(x, holes.draw_cutout(key, *x.shape[:2])),
}
"""What each does when it is applied."""

PROBABILITIES: dict[AugmentationName, float] = {
    name: 1.0 if name == "random_resized_crop" else 0.5 for name in ALWAYS
}
"""How often each is applied."""


def _sometimes(name: AugmentationName) -> Augmentation:
    """The augmentation with its probability."""

    def apply(key: PRNGKeyArray, image: Float[Array, "H W C"]) -> Float[Array, "H W C"]:
        whether, how = jax.random.split(key)
        return jnp.where(chosen(whether, PROBABILITIES[name]), ALWAYS[name](how, image), image)

    return apply


AUGMENTATIONS: dict[AugmentationName, Augmentation] = {name: _sometimes(name) for name in ALWAYS}
"""What each does to an image of a training batch, in the order in which they are applied."""


def require_shape(names: Sequence[str], height: int, width: int, channels: int) -> None:
    """Raise ConfigError unless the augmentations exist and take images of that shape."""
    for name in names:
        require_choice("augmentations", name, get_args(AugmentationName))
    if "transpose" in names and height != width:
        raise ConfigError(f"augmentation transpose needs square images, got {height} x {width}")
    if "hue_saturation_value" in names:
        require(
            channels == 3, "images of augmentation hue_saturation_value", channels, "of 3 channels"
        )


def augmented(keys: Keys, images: Images, names: Sequence[AugmentationName]) -> Images:
    """Images [B, H, W, C] in [0, 1] with the named augmentations, each image by its own key.

    Whatever the order of the names, they are applied in that of AUGMENTATIONS. An augmentation's
    key comes from its place among all of them, so that leaving one out changes no other's draw.

    Raises ConfigError for a name that is none, and for images that one of them cannot do with.
    """
    require_shape(names, *images.shape[1:])
    places = [place for place, name in enumerate(AUGMENTATIONS) if name in names]
    stages = [partial(_stage, place) for place in places]

    # A turn of a loop for each, where a chain would do: on a CPU, XLA fuses a chain, so that every
    # pixel that one of them looks up is computed anew by all before it, at every look. Nine in a
    # chain take 13 times as long.
    def apply(turn: Array, images: Images) -> Images:
        return jax.lax.switch(turn, stages, keys, images)

    return jax.lax.fori_loop(0, len(stages), apply, images) if stages else images


def _stage(place: int, keys: Keys, images: Images) -> Images:
    """The augmentation of that place, for a batch."""
    augmentation = list(AUGMENTATIONS.values())[place]
    return jax.vmap(lambda key, image: augmentation(jax.random.fold_in(key, place), image))(
        keys, images
    )
