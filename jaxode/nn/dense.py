"""Nets of linear layers, and vector fields made of them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxode.checks import require_choice, require_count
from jaxode.nn.layers import Linear
from jaxode.types import Time

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "tanh": jnp.tanh,
    "relu": jax.nn.relu,
    "elu": jax.nn.elu,
    "softplus": jax.nn.softplus,
}
"""Functions between the layers, by name."""


class Dense(nnx.Module):
    """Linear layers with an activation between them, [..., I] → [..., O].

    Args:
      sizes: units of the input, of each hidden layer and of the output: two or more.
      activation: between the layers: tanh, relu, elu or softplus.
      rngs: stream `params` of keys.
      dtype: floating-point type of the parameters.

    Raises:
      ConfigError: fewer than two sizes, one below 1, or an unknown activation.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxode.nn import Dense
      >>> Dense((3, 8, 2), "tanh", rngs=nnx.Rngs(0))(jnp.ones((4, 3))).shape
      (4, 2)
    """

    def __init__(
        self,
        sizes: Sequence[int],
        activation: str = "tanh",
        *,
        rngs: nnx.Rngs,
        dtype: DTypeLike = jnp.float32,
    ) -> None:
        require_choice("activation", activation, tuple(ACTIVATIONS))
        require_count("the number of sizes less one", len(sizes) - 1)
        for size in sizes:
            require_count("a size", size)
        self.activation = activation
        self.layers = nnx.List(
            [
                Linear(inner, outer, rngs=rngs, dtype=dtype)
                for inner, outer in itertools.pairwise(sizes)
            ]
        )

    def __call__(self, x: Float[Array, "*batch I"]) -> Float[Array, "*batch O"]:
        """The net of x."""
        *hidden, last = self.layers
        for layer in hidden:
            x = ACTIVATIONS[self.activation](layer(x))
        return last(x)


class DenseField(nnx.Module):
    """f(z), a `Dense` net of the state alone.

    Source: `LatentODEfunc` of torchdiffeq's examples/latent_ode.py (one hidden layer more than
    `layers=1` of 20 units, ELU); the ODE functions of Rubanova et al. 2019 (tanh).

    Args:
      size: numbers of the state.
      units: of each hidden layer.
      layers: hidden layers, at least 1.
      activation: between the layers.
      rngs: stream `params` of keys.
      dtype: floating-point type of the parameters.

    Raises:
      ConfigError: a size or number below 1, or an unknown activation.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxode.nn import DenseField
      >>> DenseField(2, 8, rngs=nnx.Rngs(0))(jnp.array(0.0), jnp.ones((4, 2))).shape
      (4, 2)
    """

    def __init__(
        self,
        size: int,
        units: int,
        layers: int = 2,
        activation: str = "tanh",
        *,
        rngs: nnx.Rngs,
        dtype: DTypeLike = jnp.float32,
    ) -> None:
        require_count("layers", layers)
        self.net = Dense([size, *[units] * layers, size], activation, rngs=rngs, dtype=dtype)

    def __call__(self, t: Time, z: Float[Array, "*batch Z"]) -> Float[Array, "*batch Z"]:
        """The slope, which does not depend on the time."""
        return self.net(z)
