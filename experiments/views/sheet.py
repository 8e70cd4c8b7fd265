"""The sheet: a row for each augmentation, with an untouched picture and what becomes of it."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from jaxode.config import AugmentationName
from jaxode.data.augmentations import ALWAYS, augmented
from jaxode.types import Images, Keys

NAMES: tuple[AugmentationName, ...] = tuple(ALWAYS)
"""A row each, and one for all of them."""

DRAWS = 8
GAP, LABEL, HEAD = 4, 176, 24
"""Pixels between pictures, for the names of rows, for those of columns."""

INK = "#222222"


def rows(pictures: np.ndarray, seed: int) -> np.ndarray:
    """Each picture beside its draws: [R, side, side, 3] to uint8 [R, 1 + DRAWS, side, side, 3].

    An augmentation that draws nothing is shown once, before white.
    """
    keys = jax.random.split(jax.random.key(seed), DRAWS)

    def row(picture: np.ndarray, apply: Callable[[Keys, Images], Images]) -> np.ndarray:
        images = jnp.broadcast_to(jnp.asarray(picture, float) / 255, (DRAWS, *picture.shape))
        drawn = np.round(np.asarray(jax.jit(apply)(keys, images)) * 255).astype(np.uint8)
        if (drawn == drawn[0]).all():
            drawn[1:] = 255
        return np.concatenate([picture[None], drawn])

    applied = [jax.vmap(ALWAYS[name]) for name in NAMES]
    together = partial(augmented, names=NAMES)
    return np.stack([row(*each) for each in zip(pictures, [*applied, together], strict=True)])


def png(found: np.ndarray) -> bytes:
    """The rows with their names as a file's contents."""
    count, across, side = found.shape[:3]
    step = side + GAP
    sheet = Image.new("RGB", (LABEL + across * step, HEAD + count * step), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    pen.text((LABEL, HEAD // 2), "untouched", INK, font, anchor="lm")
    pen.text((LABEL + step + GAP, HEAD // 2), f"{DRAWS} draws", INK, font, anchor="lm")
    for k, (row, name) in enumerate(zip(found, (*NAMES, "all together"), strict=True)):
        top = HEAD + k * step
        pen.text((GAP, top + side // 2), name.replace("_", " "), INK, font, anchor="lm")
        for place, picture in enumerate(row):
            sheet.paste(
                Image.fromarray(picture), (LABEL + place * step + (GAP if place else 0), top)
            )
    target = io.BytesIO()
    sheet.save(target, "png", optimize=True)
    return target.getvalue()
