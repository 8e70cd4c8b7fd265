"""Encoders of latent ODEs: a series, read backward in time → a normal distribution of z."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from jaxode.nn.dense import Dense, DenseField
from jaxode.nn.layers import Linear
from jaxode.nn.recurrent import GRUUnit
from jaxode.nn.series import Series, scan_rows

LEAD = 0.01
"""The ODE-RNN's state of zeros stands this long after the last row, where there is more than one;
the unit is that of the times."""

PARTS = 50
"""Its Euler steps are about as long as the series over PARTS."""


class Posterior(NamedTuple):
    """Independent normal distributions of the numbers of z at a series' first time.

    Args:
      mean: [B, L].
      std: standard deviations, [B, L], at least 0.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxode.models import Posterior
      >>> Posterior(jnp.ones((1, 2)), jnp.ones((1, 2))).divergence.tolist()
      [[0.5, 0.5]]
    """

    mean: Float[Array, "B L"]
    std: Float[Array, "B L"]

    @property
    def divergence(self) -> Float[Array, "B L"]:
        """Kullback-Leibler divergence of each from N(0, 1), in nats."""
        return 0.5 * (self.std**2 + self.mean**2 - 1) - jnp.log(self.std)


class RNNEncoder(nnx.Module):
    """h ← tanh(W [x, h] + b) from the last row to the first; a linear layer of the last h.

    Source: Chen et al. 2018, "Neural Ordinary Differential Equations", section 5, and
    `RecognitionRNN` of torchdiffeq's examples/latent_ode.py, which reads the values alone. With
    `masked`, for irregular times and missing values, the mask and the time to the row after are
    inputs too. A row in which nothing was observed is passed over.

    Args:
      channels: D, values of a row.
      latent: L, numbers of z.
      units: numbers of h.
      masked: whether mask and time are inputs.
      rngs: stream `params` of keys.
      dtype: floating-point type of the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxode.models import RNNEncoder
      >>> from jaxode.nn import Series
      >>> ones = jnp.ones((2, 3, 1))
      >>> series = Series(jnp.arange(6.0).reshape(2, 3), ones, ones, jnp.array([3, 3]))
      >>> RNNEncoder(1, 4, rngs=nnx.Rngs(0))(series).mean.shape
      (2, 4)
    """

    def __init__(
        self,
        channels: int,
        latent: int,
        units: int = 25,
        *,
        masked: bool = False,
        rngs: nnx.Rngs,
        dtype: DTypeLike = jnp.float32,
    ) -> None:
        read = 2 * channels + 1 if masked else channels
        self.units, self.masked = units, masked
        self.cell = Linear(read + units, units, rngs=rngs, dtype=dtype)
        self.readout = Linear(units, 2 * latent, rngs=rngs, dtype=dtype)

    def __call__(self, series: Series) -> Posterior:
        """The posterior; the readout's second half is the logarithm of its variance."""
        later = jnp.append(series.gaps[:, 1:], jnp.zeros_like(series.gaps[:, :1]), 1)
        x = jnp.concatenate([series.rows, later[..., None]], 2) if self.masked else series.values

        def step(
            h: Float[Array, "B H"], row: tuple[Array, Array]
        ) -> tuple[Float[Array, "B H"], None, None]:
            x, observed = row
            new = jnp.tanh(self.cell(jnp.concatenate([x, h], 1)))
            return jnp.where(observed[:, None], new, h), None, None

        zeros = jnp.zeros((len(x), self.units), x.dtype)
        h, _, _ = scan_rows(step, zeros, (x, series.observed), reverse=True)
        mean, log_variance = jnp.split(self.readout(h), 2, axis=1)
        return Posterior(mean, jnp.exp(0.5 * log_variance))


class EulerSteps(NamedTuple):
    """Steps of Euler's method back through the rows of each series: S of them at most.

    Args:
      length: of each step in time, [B, S], 0 behind the last.
      row: the row that the step leads to, [B, S].
      arrives: 1 where the step ends at the row, [B, S].
    """

    length: Float[Array, "B S"]
    row: Int[Array, "B S"]
    arrives: Float[Array, "B S"]


def euler_steps(times: Float[Array, "B T"], lengths: Int[Array, " B"]) -> EulerSteps:
    """How Rubanova et al. divide the gaps between rows into Euler steps.

    A gap that holds n times the series' duration over PARTS takes n - 1 steps, and at least one.
    The first gap, of LEAD, takes PARTS at most, which is more only if the series is shorter than
    LEAD.

    Args:
      times: rising, [B, T].
      lengths: rows of each series, [B].
    """
    total = times.shape[1] + 2 * PARTS

    def of_one(times: Float[Array, " T"], length: Int[Array, ""]) -> EulerSteps:
        index = length - 1 - jnp.arange(len(times))  # from the last row to the first
        inside = index >= 0
        row = jnp.maximum(index, 0)
        first, last = times[0], times[length - 1]
        later = jnp.where(index == length - 1, last + LEAD, times[jnp.minimum(row + 1, length - 1)])
        gap = jnp.where(inside & (length > 1), later - times[row], 0.0)
        shortest = (last - first) / PARTS
        held = jnp.floor(gap / jnp.where(shortest > 0, shortest, 1.0)).astype(jnp.int32)
        count = jnp.where(inside, jnp.clip(held - 1, 1, PARTS), 0)
        ends = jnp.cumsum(count)
        step = jnp.arange(total)
        which = jnp.minimum(jnp.searchsorted(ends, step, side="right"), len(times) - 1)
        going = step < ends[-1]
        arrives = going & (step == ends[which] - 1)
        size = jnp.where(going, gap[which] / jnp.maximum(count[which], 1), 0.0)
        return EulerSteps(size, row[which], arrives.astype(times.dtype))

    return jax.vmap(of_one)(times, lengths)


class ODERNNEncoder(nnx.Module):
    """An ODE-RNN backward in time by Euler's method, and a net of its last state.

    Source: Rubanova, Chen and Duvenaud 2019, "Latent ODEs for Irregularly-Sampled Time Series",
    section 3.2, as its code's Encoder_z0_ODE_RNN has it; each series runs over its own times.

    Args:
      channels: D, values of a row.
      latent: L, numbers of z.
      hidden: numbers of the state's mean.
      units: of the field's hidden layers.
      layers: hidden layers of the field.
      gate_units: of the hidden layers of the GRU's gates.
      rngs: stream `params` of keys.
      dtype: floating-point type of the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxode.models import ODERNNEncoder
      >>> from jaxode.nn import Series
      >>> ones = jnp.ones((2, 3, 1))
      >>> series = Series(jnp.arange(6.0).reshape(2, 3), ones, ones, jnp.array([3, 3]))
      >>> ODERNNEncoder(1, 4, 8, units=8, gate_units=8, rngs=nnx.Rngs(0))(series).std.shape
      (2, 4)
    """

    def __init__(
        self,
        channels: int,
        latent: int,
        hidden: int,
        *,
        units: int = 100,
        layers: int = 2,
        gate_units: int = 100,
        rngs: nnx.Rngs,
        dtype: DTypeLike = jnp.float32,
    ) -> None:
        self.hidden = hidden
        self.field = DenseField(hidden, units, layers, rngs=rngs, dtype=dtype)
        self.unit = GRUUnit(2 * channels, hidden, gate_units, rngs=rngs, dtype=dtype)
        self.readout = Dense((2 * hidden, 100, 2 * latent), rngs=rngs, dtype=dtype)

    def __call__(self, series: Series) -> Posterior:
        """The posterior; the readout's second half is a standard deviation, but for its sign."""
        steps = euler_steps(series.times, series.lengths)
        samples = jnp.arange(len(series.times))
        zeros = jnp.zeros((len(samples), self.hidden), series.values.dtype)
        time = jnp.zeros((), series.values.dtype)

        def step(
            state: tuple[Array, Array], at: EulerSteps
        ) -> tuple[tuple[Array, Array], None, None]:
            mean, std = state
            mean = mean - at.length[:, None] * self.field(time, mean)
            seen = series.rows[samples, at.row]
            updated = (at.arrives > 0) & series.observed[samples, at.row]
            new_mean, new_std = self.unit((mean, std), seen)
            keep = updated[:, None]
            return (jnp.where(keep, new_mean, mean), jnp.where(keep, new_std, std)), None, None

        (mean, std), _, _ = scan_rows(step, (zeros, zeros), steps)
        mean, std = jnp.split(self.readout(jnp.concatenate([mean, std], 1)), 2, axis=1)
        return Posterior(mean, jnp.abs(std))
