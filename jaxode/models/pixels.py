"""Bytes of images and real numbers: dequantisation, the logit, bits, squeezes, keys of images."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxode.types import Keys, Maps, Pixels

LEVELS = 256

Rearranged = Float[Array, "B h w c"]
"""Maps of another size with the same numbers."""


def dequantised(pixels: Pixels, keys: Keys, dtype: DTypeLike = jnp.float32) -> Maps:
    """(pixels + u) / 256 with u uniform from 0 to 1, drawn from each image's key.

    Source: Uria, Murray and Larochelle 2013, "RNADE"; Theis, van den Oord and Bethge 2016, "A note
    on the evaluation of generative models": the mean over u of log p(pixels + u) is no more than
    the log-probability of the bytes.

    Args:
      pixels: bytes [B, H, W, C].
      keys: a random key for each image.
      dtype: floating-point type.

    Returns:
      [B, H, W, C] from 0 to 1.
    """
    draw = jax.vmap(lambda key: jax.random.uniform(key, pixels.shape[1:], dtype))
    return (pixels.astype(dtype) + draw(keys)) / LEVELS


def image_keys(pixels: Pixels) -> Keys:
    """A random key for each image that depends on its bytes alone, for draws in evaluation.

    So an evaluation draws the same at every call, whatever the order and division of the images.

    Args:
      pixels: bytes [B, H, W, C].
    """
    flat = pixels.reshape(pixels.shape[0], -1).astype(jnp.uint32)
    # A polynomial of an odd number, modulo 2³².
    powers = [pow(1664525, k, 1 << 32) for k in range(1, flat.shape[1] + 1)]
    sums = (flat * jnp.asarray(np.array(powers, np.uint32))).sum(1, dtype=jnp.uint32)
    return jax.vmap(lambda number: jax.random.fold_in(jax.random.key(0), number))(sums)


def logit(x: Maps, alpha: float) -> tuple[Maps, Float[Array, " B"]]:
    """Log(s / (1 - s)) with s = α + (1 - 2 α) x, and the logarithm of its derivatives' product.

    Source: Dinh, Sohl-Dickstein and Bengio 2017, "Density estimation using Real NVP", section 4.1.

    Args:
      x: images [B, H, W, C] from 0 to 1.
      alpha: α, above 0 and below 1/2.

    Returns:
      [B, H, W, C] and [B].

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxode.models.pixels import logit, unlogit
      >>> x = jnp.full((1, 2, 2, 1), 0.25)
      >>> y, change = logit(x, 0.05)
      >>> print(f"{unlogit(y, 0.05)[0, 0, 0, 0]:.4f} {change[0]:.3f}")
      0.2500 6.029
    """
    part = alpha + (1 - 2 * alpha) * x
    each = math.log(1 - 2 * alpha) - jnp.log(part) - jnp.log1p(-part)
    return jnp.log(part) - jnp.log1p(-part), each.reshape(x.shape[0], -1).sum(1)


def unlogit(y: Maps, alpha: float) -> Maps:
    """The inverse of `logit`: images from 0 to 1 but for α.

    Args:
      y: [B, H, W, C].
      alpha: α.
    """
    return (jax.nn.sigmoid(y) - alpha) / (1 - 2 * alpha)


def to_bytes(x: Maps) -> Pixels:
    """The bytes of images [B, H, W, C] from 0 to 1; what is beyond is set to an end."""
    return jnp.clip(jnp.floor(LEVELS * x), 0, LEVELS - 1).astype(jnp.uint8)


def bits_per_dimension(log_p: Float[Array, "..."], dimensions: int) -> Float[Array, "..."]:
    """-log p / (D ln 2), of log-densities of bytes in nats.

    Args:
      log_p: of images.
      dimensions: D, numbers of an image.

    Example:
      >>> import math
      >>> import jax.numpy as jnp
      >>> from jaxode.models.pixels import bits_per_dimension
      >>> float(bits_per_dimension(jnp.array(-math.log(256.0)), 1))
      8.0
    """
    return -log_p / (dimensions * math.log(2))


def squeeze(x: Maps) -> Rearranged:
    """Squares of 2 x 2 as channels: [B, H, W, C] → [B, H/2, W/2, 4 C], as in Real NVP and FFJORD.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxode.models.pixels import squeeze, unsqueeze
      >>> x = jnp.arange(16.0).reshape(1, 4, 4, 1)
      >>> squeeze(x)[0, 0, 0].tolist(), bool((unsqueeze(squeeze(x)) == x).all())
      ([0.0, 1.0, 4.0, 5.0], True)
    """
    b, h, w, c = x.shape
    parts = x.reshape(b, h // 2, 2, w // 2, 2, c).transpose(0, 1, 3, 5, 2, 4)
    return parts.reshape(b, h // 2, w // 2, 4 * c)


def unsqueeze(x: Maps) -> Rearranged:
    """The inverse of `squeeze`: [B, H, W, C] → [B, 2 H, 2 W, C/4]."""
    b, h, w, c = x.shape
    parts = x.reshape(b, h, w, c // 4, 2, 2).transpose(0, 1, 4, 2, 5, 3)
    return parts.reshape(b, 2 * h, 2 * w, c // 4)
