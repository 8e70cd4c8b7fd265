"""Initial distributions of torchvision's models, for layers that have PyTorch's own by default."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray


@partial(jax.jit, static_argnums=(1, 2, 3))  # one program a shape, where parts would be several
def _normal(
    key: PRNGKeyArray, shape: tuple[int, ...], std: float, dtype: DTypeLike
) -> Float[Array, "..."]:
    return std * jax.random.normal(key, shape, dtype)


def fan_out_normal(
    rngs: nnx.Rngs, shape: tuple[int, ...], fan_in: int, dtype: DTypeLike
) -> nnx.Param:
    """A convolution's kernel with normal initial values of variance 2 / (outputs · size²).

    Source: He et al. 2015, "Delving Deep into Rectifiers", equation 14; torchvision's
    `kaiming_normal_` of mode fan_out.

    Args:
      rngs: stream `params` of keys, of which one is used.
      shape: [size, size, inputs, outputs].
      fan_in: is not used.
      dtype: floating-point type.
    """
    std = (2 / (shape[0] * shape[1] * shape[3])) ** 0.5
    return nnx.Param(_normal(rngs.params(), shape, std, dtype))


def small_normal(
    rngs: nnx.Rngs, shape: tuple[int, ...], fan_in: int, dtype: DTypeLike
) -> nnx.Param:
    """A linear layer's kernel with normal initial values of standard deviation 0.01.

    Source: torchvision's VGG.

    Args:
      rngs: stream `params` of keys, of which one is used.
      shape: of the parameter.
      fan_in: is not used.
      dtype: floating-point type.
    """
    return nnx.Param(_normal(rngs.params(), shape, 0.01, dtype))


def zeros(rngs: nnx.Rngs, shape: tuple[int, ...], fan_in: int, dtype: DTypeLike) -> nnx.Param:
    """Zeros, as torchvision's biases are.

    Args:
      rngs: is not used.
      shape: of the parameter.
      fan_in: is not used.
      dtype: floating-point type.
    """
    return nnx.Param(jnp.zeros(shape, dtype))
