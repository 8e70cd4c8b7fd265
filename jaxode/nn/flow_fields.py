"""Vector fields of continuous normalizing flows of vectors."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxode.checks import ConfigError, require_count
from jaxode.nn.dense import ACTIVATIONS
from jaxode.nn.layers import Linear, torch_uniform
from jaxode.types import Time

SMOOTH = {name: function for name, function in ACTIVATIONS.items() if name != "relu"}
"""Functions between the layers of a concatsquash field, by name: the divergence differentiates."""


class HyperField(nnx.Module):
    """f(t, z) = mean over units of tanh(w·z + b) u σ(g), whose w, b, u, g are a network of t.

    Source: Chen et al. 2018, "Neural Ordinary Differential Equations", section 4, and torchdiffeq's
    examples/cnf.py: the hypernetwork has two hidden layers of tanh.

    Args:
      dimensions: D, numbers of a point.
      hidden: units of each hidden layer of the hypernetwork.
      width: units of the field, over which the mean is taken.
      rngs: stream `params` of keys.
      dtype: floating-point type of the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxode.nn import HyperField
      >>> HyperField(2, rngs=nnx.Rngs(0))(jnp.array(0.5), jnp.ones((4, 2))).shape
      (4, 2)
    """

    def __init__(
        self,
        dimensions: int,
        hidden: int = 32,
        width: int = 64,
        *,
        rngs: nnx.Rngs,
        dtype: DTypeLike = jnp.float32,
    ) -> None:
        sizes = {"dimensions": dimensions, "hidden": hidden, "width": width}
        for name, value in sizes.items():
            require_count(name, value)
        self.dimensions, self.width = dimensions, width
        self.linear1 = Linear(1, hidden, rngs=rngs, dtype=dtype)
        self.linear2 = Linear(hidden, hidden, rngs=rngs, dtype=dtype)
        self.linear3 = Linear(hidden, (3 * dimensions + 1) * width, rngs=rngs, dtype=dtype)

    def __call__(self, t: Time, z: Float[Array, "B D"]) -> Float[Array, "B D"]:
        """The slope at time t, which is one number or [B, 1]."""
        hidden = jnp.tanh(self.linear1(jnp.reshape(t, (-1, 1))))
        numbers = self.linear3(jnp.tanh(self.linear2(hidden)))
        blocks = numbers[:, : 3 * self.dimensions * self.width]
        w, u, gate = jnp.moveaxis(blocks.reshape(-1, 3, self.width, self.dimensions), 1, 0)
        u = u * jax.nn.sigmoid(gate)
        bias = numbers[:, 3 * self.dimensions * self.width :]
        precise = jax.lax.Precision.HIGHEST
        if len(numbers) == 1:  # one time for all points: plain matrix products
            units = jnp.tanh(jnp.dot(z, w[0].T, precision=precise) + bias)
            return jnp.dot(units, u[0], precision=precise) / self.width
        units = jnp.tanh(jnp.einsum("bd,bwd->bw", z, w, precision=precise) + bias)
        return jnp.einsum("bw,bwd->bd", units, u, precision=precise) / self.width


class ConcatSquash(nnx.Module):
    """(x K + b) σ(t g + h) + t c: a linear layer whose gate and bias depend on time.

    Source: FFJORD (Grathwohl et al. 2019), its code's ConcatSquashLinear.

    Args:
      inner: I, units of the input.
      outer: O, units of the output.
      rngs: stream `params` of keys.
      dtype: floating-point type of the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxode.nn import ConcatSquash
      >>> ConcatSquash(3, 2, rngs=nnx.Rngs(0))(jnp.array(0.5), jnp.ones((4, 3))).shape
      (4, 2)
    """

    def __init__(
        self, inner: int, outer: int, *, rngs: nnx.Rngs, dtype: DTypeLike = jnp.float32
    ) -> None:
        self.linear = Linear(inner, outer, rngs=rngs, dtype=dtype)
        self.gate, self.gate_bias, self.time_bias = (
            torch_uniform(rngs, (outer,), 1, dtype) for _ in range(3)
        )

    def __call__(self, t: Time, x: Float[Array, "B I"]) -> Float[Array, "B O"]:
        """The layer at time t, which is one number or [B, 1]."""
        gate = jax.nn.sigmoid(t * self.gate[...] + self.gate_bias[...])
        return self.linear(x) * gate + t * self.time_bias[...]


class ConcatSquashField(nnx.Module):
    """Concatsquash layers with an activation between them.

    Source: FFJORD (Grathwohl et al. 2019), section 4 and its appendix B.1; hidden layers of 64, 64
    and 64 units and tanh are its code's choice for toy data.

    Args:
      dimensions: D, numbers of a point.
      hidden: units of each hidden layer.
      activation: between the layers: tanh, softplus or elu.
      rngs: stream `params` of keys.
      dtype: floating-point type of the parameters.

    Raises:
      ConfigError: no hidden layer, a size below 1, or an unknown activation.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxode.nn import ConcatSquashField
      >>> field = ConcatSquashField(2, (8, 8), rngs=nnx.Rngs(0))
      >>> field(jnp.array(0.5), jnp.ones((4, 2))).shape
      (4, 2)
    """

    def __init__(
        self,
        dimensions: int,
        hidden: Sequence[int] = (64, 64, 64),
        activation: str = "tanh",
        *,
        rngs: nnx.Rngs,
        dtype: DTypeLike = jnp.float32,
    ) -> None:
        if activation not in SMOOTH:
            raise ConfigError(f"activation must be one of {', '.join(SMOOTH)}, got {activation!r}")
        if not hidden:
            raise ConfigError(f"hidden must be one or more sizes of layers, got {hidden!r}")
        require_count("dimensions", dimensions)
        for size in hidden:
            require_count("hidden", size)
        self.activation = activation
        sizes = [dimensions, *hidden, dimensions]
        self.layers = nnx.List(
            [
                ConcatSquash(inner, outer, rngs=rngs, dtype=dtype)
                for inner, outer in itertools.pairwise(sizes)
            ]
        )

    def __call__(self, t: Time, z: Float[Array, "B D"]) -> Float[Array, "B D"]:
        """The slope at time t, which is one number or [B, 1]."""
        for layer in list(self.layers)[:-1]:
            z = SMOOTH[self.activation](layer(t, z))
        return self.layers[-1](t, z)
