"""Recurrent networks for irregular series: ODE-RNN, and the discrete ones it is compared with."""

from __future__ import annotations

from abc import abstractmethod

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxode.config import SolveConfig
from jaxode.nn.dense import DenseField
from jaxode.nn.intervals import IntervalSolve
from jaxode.nn.layers import Linear
from jaxode.nn.recurrent import DecayingGRU, GRUCell
from jaxode.nn.series import Series, scan_rows
from jaxode.ode import Stats

States = Float[Array, "B T H"]
"""The state after each row of each series; behind a series' end, its last one."""

EULER = SolveConfig("euler", step_size=1.0)
"""One step of Euler's method from each row to the next."""


class RecurrentModel(nnx.Module):
    """A state after every row of a series, and a linear layer that reads it.

    A subclass defines `states`, for its own cell and what happens between rows.

    Args:
      hidden: H, numbers of the state.
      outputs: O, of the linear layer.
      every: whether every state is read, or only the last of each series.
      rngs: stream `params` of keys.
      dtype: floating-point type of the parameters.
    """

    def __init__(
        self, hidden: int, outputs: int, *, every: bool, rngs: nnx.Rngs, dtype: DTypeLike
    ) -> None:
        self.hidden, self.every = hidden, every
        self.readout = Linear(hidden, outputs, rngs=rngs, dtype=dtype)

    @abstractmethod
    def states(self, series: Series) -> tuple[States, Stats | None]:
        """States of the rows, and the statistics of all solves together, if there are any."""

    def __call__(self, series: Series) -> tuple[Float[Array, "B *T O"], Stats]:
        """Outputs [B, O] of the last states, or [B, T, O] of all; and statistics, on an axis."""
        states, stats = self.states(series)
        solves = [] if stats is None else [stats]
        return self.readout(states if self.every else states[:, -1]), Stats.chain(solves)

    def _zeros(self, series: Series) -> Float[Array, "B H"]:
        return jnp.zeros((len(series.values), self.hidden), series.values.dtype)


class ODERNN(RecurrentModel):
    """Between rows dh/dt = f(h); at a row in which something was observed, a GRU of it.

    Source: Rubanova, Chen and Duvenaud 2019, "Latent ODEs for Irregularly-Sampled Time Series",
    algorithm 1. The state is of zeros before the first row.

    Args:
      channels: D, values of a row.
      hidden: H, numbers of the state.
      outputs: O, of the linear layer.
      units: of the field's hidden layers.
      layers: hidden layers of the field.
      solve: how h goes from one row's time to the next; a step size is a part of that interval.
      every: whether every state is read, or only the last of each series.
      rngs: stream `params` of keys.
      dtype: floating-point type of the parameters.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxode.models import ODERNN
      >>> from jaxode.nn import Series
      >>> ones = jnp.ones((2, 3, 1))
      >>> series = Series(jnp.arange(6.0).reshape(2, 3), ones, ones, jnp.array([3, 3]))
      >>> logits, stats = jax.jit(ODERNN(1, 4, 5, units=8, rngs=nnx.Rngs(0)))(series)
      >>> logits.shape, int(stats.nfe[0])
      ((2, 5), 3)
    """

    def __init__(
        self,
        channels: int,
        hidden: int,
        outputs: int,
        *,
        units: int = 100,
        layers: int = 2,
        solve: SolveConfig = EULER,
        every: bool = False,
        rngs: nnx.Rngs,
        dtype: DTypeLike = jnp.float32,
    ) -> None:
        super().__init__(hidden, outputs, every=every, rngs=rngs, dtype=dtype)
        field = DenseField(hidden, units, layers, rngs=rngs, dtype=dtype)
        self.between = IntervalSolve(field, solve)
        self.cell = GRUCell(2 * channels, hidden, rngs=rngs, dtype=dtype)

    def states(self, series: Series) -> tuple[States, Stats | None]:
        """States [B, T, H], and statistics of the solves."""

        def step(
            h: Float[Array, "B H"], row: tuple[Array, ...]
        ) -> tuple[Float[Array, "B H"], Float[Array, "B H"], Stats]:
            time, gap, x, observed = row
            h, stats = self.between(h, time - gap, time)
            h = jnp.where(observed[:, None], self.cell(h, x), h)
            return h, h, stats

        rows = (series.times, series.gaps, series.rows, series.observed)
        return scan_rows(step, self._zeros(series), rows)[1:]


class RNNDelta(RecurrentModel):
    """A GRU of values, mask and the time since the last observation, which is 0 at the first.

    Source: Rubanova, Chen and Duvenaud 2019, section 2, RNN-Δt. A row in which nothing was observed
    is passed over.

    Args:
      channels: D, values of a row.
      hidden: H, numbers of the state.
      outputs: O, of the linear layer.
      every: whether every state is read, or only the last of each series.
      rngs: stream `params` of keys.
      dtype: floating-point type of the parameters.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxode.models import RNNDelta
      >>> from jaxode.nn import Series
      >>> ones = jnp.ones((2, 3, 1))
      >>> series = Series(jnp.arange(6.0).reshape(2, 3), ones, ones, jnp.array([3, 3]))
      >>> jax.jit(RNNDelta(1, 4, 5, every=True, rngs=nnx.Rngs(0)))(series)[0].shape
      (2, 3, 5)
    """

    def __init__(
        self,
        channels: int,
        hidden: int,
        outputs: int,
        *,
        every: bool = False,
        rngs: nnx.Rngs,
        dtype: DTypeLike = jnp.float32,
    ) -> None:
        super().__init__(hidden, outputs, every=every, rngs=rngs, dtype=dtype)
        self.cell = GRUCell(2 * channels + 1, hidden, rngs=rngs, dtype=dtype)

    def states(self, series: Series) -> tuple[States, Stats | None]:
        """States [B, T, H]; there are no solves."""

        def step(
            carry: tuple[Array, Array, Array], row: tuple[Array, ...]
        ) -> tuple[tuple[Array, Array, Array], Float[Array, "B H"], None]:
            (h, last, begun), (time, x, observed) = carry, row
            gap = jnp.where(begun, time - last, 0.0)
            h = jnp.where(observed[:, None], self.cell(h, jnp.c_[x, gap]), h)
            return (h, jnp.where(observed, time, last), begun | observed), h, None

        start = (self._zeros(series), series.times[:, 0], jnp.zeros(len(series.times), bool))
        rows = (series.times, series.rows, series.observed)
        return scan_rows(step, start, rows)[1:]


class GRUD(RecurrentModel):
    """GRU-D: what was observed last, and the state, decay with the time since then.

    Source: Che, Purushotham, Cho, Sontag and Liu 2018, "Recurrent Neural Networks for Multivariate
    Time Series with Missing Values".

    Args:
      means: of each channel over the training set's observations, [D]; part of the model's state.
      hidden: H, numbers of the state.
      outputs: O, of the linear layer.
      every: whether every state is read, or only the last of each series.
      rngs: stream `params` of keys.
      dtype: floating-point type of the parameters.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxode.models import GRUD
      >>> from jaxode.nn import Series
      >>> ones = jnp.ones((2, 3, 1))
      >>> series = Series(jnp.arange(6.0).reshape(2, 3), ones, ones, jnp.array([3, 3]))
      >>> jax.jit(GRUD(jnp.zeros(1), 4, 5, rngs=nnx.Rngs(0)))(series)[0].shape
      (2, 5)
    """

    def __init__(
        self,
        means: Float[Array, " D"],
        hidden: int,
        outputs: int,
        *,
        every: bool = False,
        rngs: nnx.Rngs,
        dtype: DTypeLike = jnp.float32,
    ) -> None:
        super().__init__(hidden, outputs, every=every, rngs=rngs, dtype=dtype)
        self.cell = DecayingGRU(means, hidden, rngs=rngs, dtype=dtype)

    def states(self, series: Series) -> tuple[States, Stats | None]:
        """States [B, T, H]; there are no solves."""

        def step(
            carry: tuple[Array, ...], row: tuple[Array, ...]
        ) -> tuple[tuple[Array, ...], Float[Array, "B H"], None]:
            (h, last, since, before), (gap, values, mask, inside) = carry, row
            since = gap[:, None] + jnp.where(before > 0, 0.0, since)
            new = self.cell(h, values, mask, last, since)
            h = jnp.where(inside[:, None], new, h)
            return (h, jnp.where(mask > 0, values, last), since, mask), h, None

        zeros = jnp.zeros_like(series.values[:, 0])
        start = (self._zeros(series), zeros + self.cell.means[...], zeros, zeros)
        rows = (series.gaps, series.values, series.mask, series.inside)
        return scan_rows(step, start, rows)[1:]
