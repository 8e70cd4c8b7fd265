"""Recurrent cells for series with missing values."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxode.checks import require_count
from jaxode.nn.dense import Dense
from jaxode.nn.layers import torch_uniform

Hidden = Float[Array, "B H"]
"""States of cells."""

Inputs = Float[Array, "B I"]
"""A row of each series, as a cell reads it."""


class GRUCell(nnx.Module):
    """A gated recurrent unit, that of torch.nn.GRUCell.

    r = σ(x A_r + a_r + h C_r + c_r), u likewise, n = tanh(x A_n + a_n + r (h C_n + c_n)),
    h ← (1 - u) n + u h.

    Source: Cho et al. 2014, "Learning Phrase Representations using RNN Encoder-Decoder for
    Statistical Machine Translation", equations 5 to 8, with PyTorch's two biases.

    Args:
      inner: I, numbers of an input.
      hidden: H, numbers of the state.
      rngs: stream `params` of keys.
      dtype: floating-point type of the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxode.nn import GRUCell
      >>> GRUCell(3, 5, rngs=nnx.Rngs(0))(jnp.zeros((2, 5)), jnp.ones((2, 3))).shape
      (2, 5)
    """

    def __init__(
        self, inner: int, hidden: int, *, rngs: nnx.Rngs, dtype: DTypeLike = jnp.float32
    ) -> None:
        """All parameters start uniform in ±1/√hidden."""
        for name, value in (("inner", inner), ("hidden", hidden)):
            require_count(name, value)
        self.input_kernel = torch_uniform(rngs, (inner, 3 * hidden), hidden, dtype)
        self.hidden_kernel = torch_uniform(rngs, (hidden, 3 * hidden), hidden, dtype)
        self.input_bias = torch_uniform(rngs, (3 * hidden,), hidden, dtype)
        self.hidden_bias = torch_uniform(rngs, (3 * hidden,), hidden, dtype)

    def __call__(self, h: Hidden, x: Inputs) -> Hidden:
        """The state after an input."""
        precise = jax.lax.Precision.HIGHEST
        given = jnp.dot(x, self.input_kernel[...], precision=precise) + self.input_bias[...]
        own = jnp.dot(h, self.hidden_kernel[...], precision=precise) + self.hidden_bias[...]
        given_r, given_u, given_n = jnp.split(given, 3, axis=-1)
        own_r, own_u, own_n = jnp.split(own, 3, axis=-1)
        r, u = jax.nn.sigmoid(given_r + own_r), jax.nn.sigmoid(given_u + own_u)
        n = jnp.tanh(given_n + r * own_n)
        return (1 - u) * n + u * h


class GRUUnit(nnx.Module):
    """A GRU whose state is a mean and a standard deviation, each gate a net of one hidden layer.

    u = σ(U[m, s, x]), r = σ(R[m, s, x]), (m', s') = N[r m, r s, x],
    m ← (1 - u) m' + u m, s ← |(1 - u) |s'| + u s|.

    Source: Rubanova, Chen and Duvenaud 2019, "Latent ODEs for Irregularly-Sampled Time Series", its
    code's GRU_unit.

    Args:
      inner: I, numbers of an input: values and mask.
      hidden: H, numbers of the mean.
      units: of the gates' hidden layers.
      rngs: stream `params` of keys.
      dtype: floating-point type of the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxode.nn import GRUUnit
      >>> unit = GRUUnit(4, 3, 8, rngs=nnx.Rngs(0))
      >>> mean, std = unit((jnp.zeros((2, 3)), jnp.zeros((2, 3))), jnp.ones((2, 4)))
      >>> mean.shape, bool((std >= 0).all())
      ((2, 3), True)
    """

    def __init__(
        self,
        inner: int,
        hidden: int,
        units: int = 100,
        *,
        rngs: nnx.Rngs,
        dtype: DTypeLike = jnp.float32,
    ) -> None:
        taken = 2 * hidden + inner

        def net(outer: int) -> Dense:
            return Dense((taken, units, outer), rngs=rngs, dtype=dtype)

        self.update_gate, self.reset_gate = net(hidden), net(hidden)
        self.new_state = net(2 * hidden)

    def __call__(self, state: tuple[Hidden, Hidden], x: Inputs) -> tuple[Hidden, Hidden]:
        """Mean and standard deviation after an input."""
        mean, std = state
        seen = jnp.concatenate([mean, std, x], -1)
        u, r = jax.nn.sigmoid(self.update_gate(seen)), jax.nn.sigmoid(self.reset_gate(seen))
        proposal = self.new_state(jnp.concatenate([mean * r, std * r, x], -1))
        new_mean, new_std = jnp.split(proposal, 2, axis=-1)
        mean = (1 - u) * new_mean + u * mean
        return mean, jnp.abs((1 - u) * jnp.abs(new_std) + u * std)


class DecayingGRU(nnx.Module):
    """GRU-D's cell: what was observed last, and the state, decay with the time since then.

    γ = exp(-max(0, W δ + b)), for inputs with W diagonal, for the state with W full;
    x̂ = m x + (1 - m)(γ_x x_last + (1 - γ_x) x_mean), ĥ = γ_h h, and a GRU of x̂, ĥ and m.

    Source: Che, Purushotham, Cho, Sontag and Liu 2018, "Recurrent Neural Networks for Multivariate
    Time Series with Missing Values", equations 10 to 17.

    Args:
      means: of each channel over the training set's observations, [D].
      hidden: H, numbers of the state.
      rngs: stream `params` of keys.
      dtype: floating-point type of the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxode.nn.recurrent import DecayingGRU
      >>> cell = DecayingGRU(jnp.zeros(2), 5, rngs=nnx.Rngs(0))
      >>> row = jnp.ones((3, 2))
      >>> cell(jnp.zeros((3, 5)), row, row, row, row).shape
      (3, 5)
    """

    def __init__(
        self,
        means: Float[Array, " D"],
        hidden: int,
        *,
        rngs: nnx.Rngs,
        dtype: DTypeLike = jnp.float32,
    ) -> None:
        inputs = len(means)
        self.means = nnx.BatchStat(jnp.asarray(means, dtype))
        uniform = jax.random.uniform(rngs.params(), (inputs,), dtype)
        self.input_decay_kernel = nnx.Param(uniform)
        self.input_decay_bias = nnx.Param(jnp.zeros((inputs,), dtype))
        self.state_decay = Dense((inputs, hidden), rngs=rngs, dtype=dtype)
        taken = 2 * inputs + hidden
        self.update, self.reset, self.candidate = (
            Dense((taken, hidden), rngs=rngs, dtype=dtype) for _ in range(3)
        )

    def __call__(
        self,
        h: Hidden,
        values: Float[Array, "B D"],
        mask: Float[Array, "B D"],
        last: Float[Array, "B D"],
        since: Float[Array, "B D"],
    ) -> Hidden:
        """The state after a row.

        Args:
          h: the state before.
          values: of the row.
          mask: 1 where a value was observed, 0 elsewhere.
          last: the value observed last in each channel; its mean before the first.
          since: the time since then.
        """
        decay = self.input_decay_kernel[...] * since + self.input_decay_bias[...]
        keep = jnp.exp(-jax.nn.relu(decay))
        x = jnp.where(mask > 0, values, keep * last + (1 - keep) * self.means[...])
        h = jnp.exp(-jax.nn.relu(self.state_decay(since))) * h
        seen = jnp.concatenate([x, h, mask], -1)
        u, r = jax.nn.sigmoid(self.update(seen)), jax.nn.sigmoid(self.reset(seen))
        n = jnp.tanh(self.candidate(jnp.concatenate([x, r * h, mask], -1)))
        return (1 - u) * h + u * n
