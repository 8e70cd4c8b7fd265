"""A recurrent network that predicts each next value of a series, and goes on by its own."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxode.nn.layers import Linear
from jaxode.nn.series import Series, scan_rows


class Forecast(NamedTuple):
    """What a forecaster says of a batch.

    Args:
      following: of the values of each next row, [B, T, D]; behind the last row nothing that counts.
      beyond: of the values at the times asked for, [B, T', D].

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxode.models import Forecast
      >>> Forecast(jnp.zeros((2, 3, 1)), jnp.zeros((2, 5, 1))).beyond.shape
      (2, 5, 1)
    """

    following: Float[Array, "B T D"]
    beyond: Float[Array, "B T1 D"]


class RNNForecaster(nnx.Module):
    """h ← tanh(W [x, m, Δ, h] + b), where m is the mask and Δ the time to the next row.

    A linear layer of h predicts the values there; behind the last row, predictions are read as
    values.

    Source: Chen et al. 2018, "Neural Ordinary Differential Equations", section 5.1 and table 2: the
    RNN with time differences beside the latent ODE.

    Args:
      channels: D, values of a row.
      units: numbers of h.
      rngs: stream `params` of keys.
      dtype: floating-point type of the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxode.models import RNNForecaster
      >>> from jaxode.nn import Series
      >>> ones = jnp.ones((2, 3, 1))
      >>> series = Series(jnp.arange(6.0).reshape(2, 3), ones, ones, jnp.array([3, 3]))
      >>> forecast = RNNForecaster(1, rngs=nnx.Rngs(0))((series, series.times[:, -1:] + 1.0))
      >>> forecast.following.shape, forecast.beyond.shape
      ((2, 3, 1), (2, 1, 1))
    """

    def __init__(
        self,
        channels: int,
        units: int = 25,
        *,
        rngs: nnx.Rngs,
        dtype: DTypeLike = jnp.float32,
    ) -> None:
        self.units = units
        self.cell = Linear(2 * channels + 1 + units, units, rngs=rngs, dtype=dtype)
        self.readout = Linear(units, channels, rngs=rngs, dtype=dtype)

    def __call__(self, inputs: tuple[Series, Float[Array, "B T1"]]) -> Forecast:
        """Predictions of a series' next values, and of values behind its last row.

        Args:
          inputs: the series, and times [B, T'], rising, behind each series' last.
        """
        series, times = inputs
        last = series.times[:, -1]
        ahead = jnp.concatenate([series.gaps[:, 1:], jnp.zeros_like(last)[:, None]], 1)
        at_end = jnp.arange(ahead.shape[1]) == series.lengths[:, None] - 1
        ahead = jnp.where(at_end, (times[:, 0] - last)[:, None], ahead)
        zeros = jnp.zeros((len(times), self.units), series.values.dtype)

        def read(
            h: Float[Array, "B H"], row: tuple[Array, Array, Array]
        ) -> tuple[Float[Array, "B H"], Float[Array, "B D"], None]:
            x, gap, inside = row
            h = jnp.where(inside[:, None], self._step(h, x, gap), h)
            return h, self.readout(h), None

        h, following, _ = scan_rows(read, zeros, (series.rows, ahead, series.inside))

        def go_on(
            carry: tuple[Array, Array], gap: Float[Array, " B"]
        ) -> tuple[tuple[Array, Array], Float[Array, "B D"], None]:
            h, x = carry
            h = self._step(h, jnp.concatenate([x, jnp.ones_like(x)], 1), gap)
            x = self.readout(h)
            return (h, x), x, None

        first = self.readout(h)
        _, later, _ = scan_rows(go_on, (h, first), jnp.diff(times, axis=1))
        return Forecast(following, jnp.concatenate([first[:, None], later], 1))

    def _step(
        self, h: Float[Array, "B H"], x: Float[Array, "B D2"], gap: Float[Array, " B"]
    ) -> Float[Array, "B H"]:
        return jnp.tanh(self.cell(jnp.concatenate([x, gap[:, None], h], 1)))
