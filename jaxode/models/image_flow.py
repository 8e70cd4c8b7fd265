"""A continuous normalizing flow of images, on one scale or on several."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Key

from jaxode.checks import ConfigError, require_choice, require_count
from jaxode.config import SolveConfig
from jaxode.models.flow import ContinuousFlow
from jaxode.models.image_scales import ImageScales, in_rows
from jaxode.models.pixels import LEVELS, dequantised, image_keys, logit, to_bytes, unlogit
from jaxode.nn.divergence import NOISES, LogDensities, Points, draw_noise
from jaxode.nn.image_field import ImageShape
from jaxode.ode import Stats
from jaxode.types import Keys, Maps, Pixels, Training

Rows = Float[Array, "B _"]
"""Images of one scale, their numbers in a row."""

Noises = Sequence[Rows | None]
"""Noise of Hutchinson's estimator for each solve; None for the exact divergence."""


class ImageFlow(nnx.Module):
    """The density of images that ODEs carry from N(0, 1) through a logit to pixels.

    On one scale, `blocks` ODEs in a row. On several, as in Real NVP: on each but the last, `blocks`
    ODEs, a squeeze of 2 x 2 pixels into channels, `blocks` ODEs, and half of the channels are done.
    Bytes are dequantised by uniform noise; a log-density is that of bytes, the logarithm of a
    density of `pixels + u`, whose mean bounds the log-probability of the bytes from below.

    In training, noise and the divergence's estimate are drawn from each image's key. In evaluation
    they are drawn from a key that depends on the image's bytes alone: a fixed draw, of the same
    mean. `log_prob` without noise has the exact divergence, which takes a product with the Jacobian
    for each number of an image.

    Source: FFJORD (Grathwohl et al. 2019), section 4.2 and its code's CNF and ODENVP.

    Args:
      shape: height, width and channels of an image.
      field: makes the vector field for images of a shape, `ImageField` say.
      solve: how the ODEs are solved and differentiated; None for dopri5 with tolerances of 1e-5.
      scales: number of scales; height and width must be even on each but the last.
      blocks: number of ODEs in a row.
      end_time: of each ODE, which starts at 0; trained, from this value, if `trained_time`.
      trained_time: whether each end time is the square of a parameter.
      alpha: α of the logit, from 0 to 1/2.
      noise: rademacher or gaussian, of Hutchinson's estimator.

    Raises:
      ConfigError: a value outside its range.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxode import SolveConfig
      >>> from jaxode.models import ImageFlow
      >>> from jaxode.nn import ImageField
      >>> rngs = nnx.Rngs(0)
      >>> def field(shape):
      ...     return ImageField(shape, (4,), (1, 1), rngs=rngs)
      >>> flow = ImageFlow((4, 4, 1), field, SolveConfig("heun", step_size=0.5), scales=2)
      >>> log_p, stats = flow(jnp.zeros((2, 4, 4, 1), jnp.uint8))
      >>> log_p.shape, stats.nfe.tolist()
      ((2,), [4, 4, 4])
      >>> flow.sample(jax.random.key(0), 3)[0].shape
      (3, 4, 4, 1)
    """

    def __init__(
        self,
        shape: ImageShape,
        field: Callable[[ImageShape], nnx.Module],
        solve: SolveConfig | None = None,
        *,
        scales: int = 1,
        blocks: int = 1,
        end_time: float = 1.0,
        trained_time: bool = False,
        alpha: float = 1e-6,
        noise: str = "rademacher",
    ) -> None:
        require_choice("noise", noise, tuple(NOISES))
        for name, count in {"scales": scales, "blocks": blocks}.items():
            require_count(name, count)
        if not 0 < alpha < 0.5:
            raise ConfigError(f"alpha must be above 0 and below 1/2, got {alpha!r}")
        self.shape, self.scales = shape, ImageScales(shape, scales, blocks)
        self.alpha, self.noise = alpha, noise
        self.flows = nnx.List(
            [
                ContinuousFlow(
                    field(each),
                    math.prod(each),
                    solve,
                    base_time=end_time,
                    trained_time=trained_time,
                )
                for each in self.scales.shapes
            ]
        )

    @property
    def dimensions(self) -> int:
        """D, numbers of an image."""
        return math.prod(self.shape)

    def __call__(
        self, pixels: Pixels, training: Training | None = None
    ) -> tuple[LogDensities, Stats]:
        """Log-densities of bytes in nats, [B]; and statistics of each solve.

        Args:
          pixels: bytes [B, H, W, C].
          training: random keys of the images; None in evaluation.
        """
        keys = image_keys(pixels) if training is None else training.keys
        x = self.dequantised(pixels, keys)
        log_p, stats = self.log_prob(x, self.draw_noises(keys))
        return log_p - self.dimensions * math.log(LEVELS), stats

    def exact_log_prob(self, pixels: Pixels) -> tuple[LogDensities, Stats]:
        """As in evaluation, with the exact divergence; for few images, for it takes long.

        Args:
          pixels: bytes [B, H, W, C].
        """
        log_p, stats = self.log_prob(self.dequantised(pixels, image_keys(pixels)))
        return log_p - self.dimensions * math.log(LEVELS), stats

    def dequantised(self, pixels: Pixels, keys: Keys) -> Maps:
        """Images from 0 to 1, with noise from each one's key.

        Args:
          pixels: bytes [B, H, W, C].
          keys: a random key for each image.
        """
        return dequantised(pixels, _folded(keys, len(self.flows)), self._dtype)

    def draw_noises(self, keys: Keys) -> list[Rows]:
        """Noise of Hutchinson's estimator for each solve.

        Args:
          keys: a random key for each image.
        """
        return [
            draw_noise(self.noise, _folded(keys, index), flow.dimensions, self._dtype)
            for index, flow in enumerate(self.flows)
        ]

    def log_prob(self, x: Maps, noises: Noises | None = None) -> tuple[LogDensities, Stats]:
        """Log-densities in nats of images from 0 to 1.

        Args:
          x: [B, H, W, C].
          noises: of each solve; None for the exact divergence.

        Returns:
          [B], and statistics of each solve.
        """
        z, log_p = logit(x, self.alpha)
        noises, stats = noises or [None] * len(self.flows), []
        for index, flow in enumerate(self.flows):
            end, change, own = flow.transport(z.reshape(z.shape[0], -1), noises[index])
            stats.append(own)
            z, done = self.scales.after(index, end.reshape(z.shape))
            log_p = log_p - change
            if done is not None:
                log_p = log_p + standard_normal(done)
        return log_p + standard_normal(z), Stats.chain(stats)

    def encode(self, x: Maps) -> tuple[Points, Stats]:
        """Where images from 0 to 1 end at the base.

        Args:
          x: [B, H, W, C].

        Returns:
          [B, D], what is done on the first scale first; and statistics of each solve.
        """
        (z, _), done, stats = logit(x, self.alpha), [], []
        for index, flow in enumerate(self.flows):
            end, own = flow.encode(z.reshape(z.shape[0], -1))
            stats.append(own)
            z, part = self.scales.after(index, end.reshape(z.shape))
            done += [] if part is None else [part]
        return in_rows([*done, z]), Stats.chain(stats)

    def decode(self, z: Points) -> tuple[Maps, Stats]:
        """Images of points of the base: the inverse of `encode`.

        Args:
          z: [B, D].

        Returns:
          [B, H, W, C] from 0 to 1 but for α, and statistics of each solve, of the last first.
        """
        (*done, maps), stats = self.scales.parts(z), []
        for index in reversed(range(len(self.flows))):
            maps = self.scales.before(index, maps, done)
            start, own = self.flows[index].decode(maps.reshape(maps.shape[0], -1))
            maps = start.reshape(maps.shape)
            stats.append(own)
        return unlogit(maps, self.alpha), Stats.chain(stats)

    def sample(self, key: Key[Array, ""], count: int) -> tuple[Pixels, Stats]:
        """Images of the density.

        Args:
          key: a random key.
          count: how many, at least 1.

        Returns:
          Bytes [count, H, W, C], and statistics of each solve, of the last first.
        """
        require_count("count", count)
        x, stats = self.decode(jax.random.normal(key, (count, self.dimensions), self._dtype))
        return to_bytes(x), stats

    @property
    def _dtype(self) -> Any:
        return jnp.result_type(*jax.tree.leaves(nnx.state(self.flows, nnx.Param)))


def standard_normal(z: Maps) -> LogDensities:
    """Log-densities [B] of N(0, 1) in nats.

    Args:
      z: [B, H, W, C].
    """
    flat = z.reshape(z.shape[0], -1)
    return -0.5 * ((flat**2).sum(1) + flat.shape[1] * math.log(2 * math.pi))


def _folded(keys: Keys, number: int) -> Keys:
    return jax.vmap(lambda key: jax.random.fold_in(key, number))(keys)
