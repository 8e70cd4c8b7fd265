"""Initial distributions of torchvision's models, for layers that have PyTorch's own."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx

from jaxode.nn.layers import Conv, Linear


def fan_out_normal(conv: Conv, rngs: nnx.Rngs) -> None:
    """Give a convolution normal weights of variance 2 / (outputs · size²), and a bias of zero.

    Source: He et al. 2015, "Delving Deep into Rectifiers", equation 14; torchvision's
    `kaiming_normal_` of mode fan_out.

    Args:
      conv: is changed in place.
      rngs: stream `params` of keys, of which one is used.
    """
    shape = conv.kernel.shape
    std = (2 / (shape[0] * shape[1] * shape[3])) ** 0.5
    conv.kernel[...] = std * jax.random.normal(rngs.params(), shape, conv.kernel[...].dtype)
    if conv.bias is not None:
        conv.bias[...] = jnp.zeros_like(conv.bias[...])


def normal_linear(linear: Linear, rngs: nnx.Rngs, std: float) -> None:
    """Give a linear layer normal weights of a standard deviation, and a bias of zero.

    Args:
      linear: is changed in place.
      rngs: stream `params` of keys, of which one is used.
      std: at least 0.
    """
    shape, dtype = linear.kernel.shape, linear.kernel[...].dtype
    linear.kernel[...] = std * jax.random.normal(rngs.params(), shape, dtype)
    linear.bias[...] = jnp.zeros_like(linear.bias[...])
