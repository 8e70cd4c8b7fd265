"""Batch norm over the weighted examples of a batch."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from jaxode.types import Activations, Training


class BatchNorm(nnx.Module):
    """Batch norm with the meaning and defaults of Keras's layer.

    Source: Ioffe and Szegedy 2015, "Batch Normalization", algorithms 1 and 2.

    While training, each channel is normalised by its mean and biased variance over the pixels of
    the batch's images, each image counting by its weight, so that padding counts for nothing; the
    running statistics become momentum · running + (1 - momentum) · batch's. They are what
    evaluation normalises by. PyTorch calls 1 - momentum the momentum, and keeps a running variance
    that is unbiased.
    """

    def __init__(
        self, channels: int, *, dtype: jnp.dtype, momentum: float = 0.99, eps: float = 1e-3
    ) -> None:
        """Scale and running variance start at one, bias and running mean at zero."""
        self.momentum, self.eps = momentum, eps
        self.scale = nnx.Param(jnp.ones(channels, dtype))
        self.bias = nnx.Param(jnp.zeros(channels, dtype))
        self.mean = nnx.BatchStat(jnp.zeros(channels, dtype))
        self.variance = nnx.BatchStat(jnp.ones(channels, dtype))

    def __call__(self, x: Activations, training: Training | None = None) -> Activations:
        """Normalise each channel.

        With `training`, by the batch, and the running statistics are updated in place.
        """
        if training is None:
            mean, variance = self.mean[...], self.variance[...]
        else:
            mean, variance = weighted_moments(x, training.weights.astype(x.dtype))
            # A batch of nothing but padding has no statistics, and leaves those that run as they
            # are.
            keep = jnp.where(jnp.any(training.weights > 0), self.momentum, 1).astype(x.dtype)
            self.mean[...] = keep * self.mean[...] + (1 - keep) * mean
            self.variance[...] = keep * self.variance[...] + (1 - keep) * variance
        factor = self.scale[...] * jax.lax.rsqrt(variance + self.eps)
        return (x - mean) * factor + self.bias[...]


def weighted_moments(
    x: Activations, weights: Float[Array, " B"]
) -> tuple[Float[Array, " C"], Float[Array, " C"]]:
    """Mean and biased variance of each channel over pixels and weighted images.

    In two passes; zeros if no image has a weight.
    """
    shares = (
        weights / jnp.maximum(weights.sum(), jnp.finfo(x.dtype).tiny) / math.prod(x.shape[1:-1])
    )
    shares = shares.reshape(-1, *[1] * (x.ndim - 1))
    axes = tuple(range(x.ndim - 1))
    mean = jnp.sum(shares * x, axes)
    centred = x - mean
    return mean, jnp.sum(shares * (centred * centred), axes)
