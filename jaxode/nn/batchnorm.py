"""Batch norm over the weighted examples of a batch."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxode.types import Activations, Training


class BatchNorm(nnx.Module):
    """Batch norm with the meaning and defaults of Keras's layer.

    Source: Ioffe and Szegedy 2015, "Batch Normalization", algorithms 1 and 2.

    In training, each channel is normalised by its mean and biased variance over the pixels of the
    batch's images, weighted by image, so that padding has no effect. The running statistics, by
    which evaluation normalises, become momentum · running + (1 - momentum) · batch. PyTorch calls
    1 - momentum the momentum, and keeps an unbiased running variance: `torch_batch_norm`.

    Args:
      channels: C, of the input.
      dtype: floating-point type of parameters and statistics.
      momentum: in [0, 1].
      eps: added to a variance.
      unbiased: whether the running variance is that of the batch times n / (n - 1), n being its
        images times pixels. A batch of one number a channel keeps the biased one, 0.
    """

    def __init__(
        self,
        channels: int,
        *,
        dtype: DTypeLike,
        momentum: float = 0.99,
        eps: float = 1e-3,
        unbiased: bool = False,
    ) -> None:
        """Scale and running variance start at one, bias and running mean at zero."""
        self.momentum, self.eps, self.unbiased = momentum, eps, unbiased
        self.scale = nnx.Param(jnp.ones(channels, dtype))
        self.bias = nnx.Param(jnp.zeros(channels, dtype))
        self.mean = nnx.BatchStat(jnp.zeros(channels, dtype))
        self.variance = nnx.BatchStat(jnp.ones(channels, dtype))

    def __call__(self, x: Activations, training: Training | None = None) -> Activations:
        """Normalise each channel.

        Args:
          x: [B, …, C].
          training: in training, the weights of the examples: the batch's own statistics are used,
            and the running ones are updated in place. None in evaluation.

        Returns:
          The normalised, scaled and shifted x.
        """
        if training is None:
            mean, variance = self.mean[...], self.variance[...]
        else:
            mean, variance = weighted_moments(x, training.weights.astype(x.dtype))
            # A batch of nothing but padding has no statistics and does not change the running ones.
            keep = jnp.where(jnp.any(training.weights > 0), self.momentum, 1).astype(x.dtype)
            self.mean[...] = keep * self.mean[...] + (1 - keep) * mean
            self.variance[...] = keep * self.variance[...] + (1 - keep) * self._running(
                x, variance, training.weights
            )
        factor = self.scale[...] * jax.lax.rsqrt(variance + self.eps)
        return (x - mean) * factor + self.bias[...]

    def _running(
        self, x: Activations, variance: Float[Array, " C"], weights: Float[Array, " B"]
    ) -> Float[Array, " C"]:
        """What a batch adds to the running variance."""
        if not self.unbiased:
            return variance
        count = weights.sum().astype(x.dtype) * math.prod(x.shape[1:-1])
        return variance * count / jnp.maximum(count - 1, 1)


def torch_batch_norm(channels: int, dtype: DTypeLike = jnp.float32) -> BatchNorm:
    """Batch norm with the meaning and defaults of torch.nn.BatchNorm2d.

    PyTorch's momentum of 0.1, an eps of 1e-5, and an unbiased running variance.

    Args:
      channels: C, of the input.
      dtype: floating-point type of parameters and statistics.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from jaxode.nn.batchnorm import torch_batch_norm
      >>> from jaxode.types import Training
      >>> norm = torch_batch_norm(1)
      >>> keys = jax.random.split(jax.random.key(0), 2)
      >>> _ = norm(jnp.array([[-1.0], [1.0]]), Training(keys, jnp.ones(2)))
      >>> print(f"{norm.variance[0]:.1f}")  # 0.9 · 1 + 0.1 · 2
      1.1
    """
    return BatchNorm(channels, dtype=dtype, momentum=0.9, eps=1e-5, unbiased=True)


def weighted_moments(
    x: Activations, weights: Float[Array, " B"]
) -> tuple[Float[Array, " C"], Float[Array, " C"]]:
    """Mean and biased variance of each channel, by two passes.

    Args:
      x: [B, …, C].
      weights: [B], at least 0.

    Returns:
      Mean and variance [C] over pixels and weighted images; zeros if all weights are 0.
    """
    shares = (
        weights / jnp.maximum(weights.sum(), jnp.finfo(x.dtype).tiny) / math.prod(x.shape[1:-1])
    )
    shares = shares.reshape(-1, *[1] * (x.ndim - 1))
    axes = tuple(range(x.ndim - 1))
    mean = jnp.sum(shares * x, axes)
    centred = x - mean
    return mean, jnp.sum(shares * (centred * centred), axes)
