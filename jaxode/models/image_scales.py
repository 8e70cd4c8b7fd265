"""How the numbers of images are rearranged between the ODEs of a flow on several scales."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxode.checks import ConfigError
from jaxode.models.pixels import squeeze, unsqueeze
from jaxode.nn.image_field import ImageShape
from jaxode.types import Maps


@dataclass(frozen=True)
class ImageScales:
    """On each scale but the last: ODEs, a squeeze, ODEs, and half of the channels are done.

    Source: Dinh, Sohl-Dickstein and Bengio 2017, "Density estimation using Real NVP", section 3.6.

    Args:
      shape: height, width and channels of an image.
      count: number of scales; height and width must be even on each but the last.
      blocks: number of ODEs in a row.

    Raises:
      ConfigError: a size that a scale cannot halve.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxode.models.image_scales import ImageScales
      >>> scales = ImageScales((28, 28, 1), count=3)
      >>> scales.shapes
      [(28, 28, 1), (14, 14, 4), (14, 14, 2), (7, 7, 8), (7, 7, 4)]
      >>> z, done = scales.after(1, jnp.ones((5, 14, 14, 4)))
      >>> z.shape, done.shape
      ((5, 14, 14, 2), (5, 14, 14, 2))
    """

    shape: ImageShape
    count: int = 1
    blocks: int = 1

    def __post_init__(self) -> None:
        h, w, _ = self.shape
        for most in range(1, self.count):
            if h % 2 or w % 2:
                raise ConfigError(
                    f"scales must be at most {most} for images of {self.shape[0]} x"
                    f" {self.shape[1]}, got {self.count}"
                )
            h, w = h // 2, w // 2

    @property
    def shapes(self) -> list[ImageShape]:
        """Shapes of the states of each ODE, in order."""
        found, (h, w, c) = [], self.shape
        for _ in range(self.count - 1):
            found += [(h, w, c)] * self.blocks + [(h // 2, w // 2, 4 * c)] * self.blocks
            h, w, c = h // 2, w // 2, 2 * c
        return found + [(h, w, c)] * self.blocks

    def after(self, index: int, z: Maps) -> tuple[Maps, Maps | None]:
        """What goes on behind an ODE, and what is done there, if anything is.

        Args:
          index: of the ODE, from 0.
          z: its end [B, H, W, C].
        """
        if self._before_squeeze(index):
            return squeeze(z), None
        if self._last_of_scale(index):
            half = z.shape[-1] // 2
            return z[..., :half], z[..., half:]
        return z, None

    def before(self, index: int, z: Maps, done: list[Maps]) -> Maps:
        """The end of an ODE: the inverse of `after`.

        Args:
          index: of the ODE, from 0.
          z: what went on behind it.
          done: what is done on each scale; the last is taken from the list where it was done here.
        """
        if self._before_squeeze(index):
            return unsqueeze(z)
        return jnp.concatenate([z, done.pop()], -1) if self._last_of_scale(index) else z

    def parts(self, rows: Float[Array, "B D"]) -> list[Maps]:
        """What is done on each scale, of points of the base [B, D], the first scale first."""
        shapes, (h, w, c) = [], self.shape
        for _ in range(self.count - 1):
            h, w, c = h // 2, w // 2, 2 * c
            shapes.append((h, w, c))
        shapes.append((h, w, c))
        ends = list(itertools.accumulate(map(math.prod, shapes)))
        split = jnp.split(rows, ends[:-1], 1)
        return [part.reshape(-1, *shape) for part, shape in zip(split, shapes, strict=True)]

    def _before_squeeze(self, index: int) -> bool:
        scale, place = divmod(index, 2 * self.blocks)
        return scale < self.count - 1 and place == self.blocks - 1

    def _last_of_scale(self, index: int) -> bool:
        scale, place = divmod(index, 2 * self.blocks)
        return scale < self.count - 1 and place == 2 * self.blocks - 1


def in_rows(parts: Sequence[Maps]) -> Float[Array, "B D"]:
    """The numbers of maps in one row for each image: the inverse of `ImageScales.parts`.

    Args:
      parts: [B, H, W, C] of several sizes.
    """
    return jnp.concatenate([part.reshape(part.shape[0], -1) for part in parts], 1)
