"""The neural controlled differential equation: a state that a path through the data drives."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxode.checks import require_count
from jaxode.config import SolveConfig
from jaxode.models.recurrent import RecurrentModel, States
from jaxode.nn.control import Control, HermitePieces, Path, hermite_pieces, points_of
from jaxode.nn.dense import Dense
from jaxode.nn.intervals import IntervalSolve
from jaxode.nn.layers import Linear
from jaxode.nn.ode_block import ODEBlock
from jaxode.nn.series import Series, scan_rows
from jaxode.ode import Stats
from jaxode.types import Time

RK4 = SolveConfig("rk4", step_size=1.0)
"""One step of the 3/8 rule, torchdiffeq's rk4, between two rows."""


class ControlledField(nnx.Module):
    """F(z) dX/dt, where F(z) is a matrix [H, C]: relu layers, and tanh of the last.

    Source: Kidger, Morrill, Foster and Lyons 2020, "Neural Controlled Differential Equations for
    Irregular Time Series", equation 5 and the code's FinalTanh.

    Args:
      channels: C, of the control.
      hidden: H, numbers of the state.
      units: of the hidden layers.
      layers: hidden layers.
      rngs: stream `params` of keys.
      dtype: floating-point type of the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxode.models.neural_cde import ControlledField
      >>> field = ControlledField(3, 4, 8, rngs=nnx.Rngs(0))
      >>> field.matrix(jnp.ones((2, 4))).shape
      (2, 4, 3)
    """

    def __init__(
        self,
        channels: int,
        hidden: int,
        units: int = 32,
        layers: int = 3,
        *,
        rngs: nnx.Rngs,
        dtype: DTypeLike = jnp.float32,
    ) -> None:
        require_count("layers", layers)
        self.shape = (hidden, channels)
        sizes = [hidden, *[units] * layers, hidden * channels]
        self.net = Dense(sizes, "relu", rngs=rngs, dtype=dtype)

    def matrix(self, z: Float[Array, "B H"]) -> Float[Array, "B H C"]:
        """F(z)."""
        return jnp.tanh(self.net(z)).reshape(-1, *self.shape)

    def __call__(self, t: Time, z: Float[Array, "B H"], control: Control) -> Float[Array, "B H"]:
        """The slope at a time, which is one number or [B, 1]."""
        slope = control.slope(jnp.broadcast_to(t, (len(z), 1))[:, 0])
        return jnp.einsum("bhc,bc->bh", self.matrix(z), slope)


class NeuralCDE(RecurrentModel):
    """dz = F(z) dX along the control X of a series, from a linear layer of X at its first time.

    X passes through time and values by Hermite cubics with backward differences.

    Source: Kidger, Morrill, Foster and Lyons 2020, "Neural Controlled Differential Equations for
    Irregular Time Series", equations 4 and 5; Morrill et al. 2021 for the control.

    Args:
      channels: D, values of a row.
      hidden: H, numbers of the state.
      outputs: O, of the linear layer that reads the states.
      units: of the field's hidden layers.
      layers: hidden layers of the field.
      solve: fixed steps, of a part of the interval between two rows; or error control, in one
        solve through all rows: over each series' own times with per-sample steps, else over the
        numbers of the rows: z does not depend on how fast X is passed through, but missing values
        then lie on lines between the rows' numbers.
      every: whether every state is read, or only the last of each series.
      rngs: stream `params` of keys.
      dtype: floating-point type of the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxode.models import NeuralCDE
      >>> from jaxode.nn import Series
      >>> ones = jnp.ones((2, 3, 1))
      >>> series = Series(jnp.arange(6.0).reshape(2, 3), ones, ones, jnp.array([3, 3]))
      >>> logits, stats = NeuralCDE(1, 4, 5, units=8, rngs=nnx.Rngs(0))(series)
      >>> logits.shape, int(stats.nfe[0])
      ((2, 5), 8)
    """

    def __init__(
        self,
        channels: int,
        hidden: int,
        outputs: int,
        *,
        units: int = 32,
        layers: int = 3,
        solve: SolveConfig = RK4,
        every: bool = False,
        rngs: nnx.Rngs,
        dtype: DTypeLike = jnp.float32,
    ) -> None:
        super().__init__(hidden, outputs, every=every, rngs=rngs, dtype=dtype)
        self.initial = Linear(1 + channels, hidden, rngs=rngs, dtype=dtype)
        field = ControlledField(1 + channels, hidden, units, layers, rngs=rngs, dtype=dtype)
        self.fixed = not solve.adaptive
        if self.fixed:
            self.between = IntervalSolve(field, solve)
        else:
            self.block = ODEBlock(field, solve)

    @property
    def field(self) -> ControlledField:
        """The vector field."""
        solve: Any = self.between if self.fixed else self.block
        return solve.field

    def states(self, series: Series) -> tuple[States, Stats | None]:
        """States [B, T, H], and statistics of the solves; none for series of one row."""
        rows = series.times.shape[1]
        numbers = jnp.arange(rows, dtype=series.times.dtype)
        own = self.fixed or self.block.solve.per_sample
        knots = series.times if own else jnp.broadcast_to(numbers, series.times.shape)
        x = points_of(series, knots)
        z0 = self.initial(x[:, 0])
        if rows == 1:
            return z0[:, None], None
        if self.fixed:
            later, stats = self._row_by_row(x, knots, z0)
            return jnp.concatenate([z0[:, None], later], 1), stats
        last = series.lengths - 1
        end = last if own else jnp.full_like(last, rows - 1)
        control = Control(knots, end, hermite_pieces(x, knots))
        states, stats = self.block(z0, control, knots if own else numbers)
        # Behind a series' end the control goes on for a piece and comes back.
        row = jnp.minimum(jnp.arange(rows), last[:, None])
        return jnp.take_along_axis(jnp.swapaxes(states, 0, 1), row[..., None], 1), stats

    def _row_by_row(
        self, x: Path, knots: Float[Array, "B T"], z0: Float[Array, "B H"]
    ) -> tuple[States, Stats | None]:
        """States behind the first row by solves from each to the next."""

        def step(
            z: Float[Array, "B H"], row: tuple[Array, Array, HermitePieces]
        ) -> tuple[Float[Array, "B H"], Float[Array, "B H"], Stats]:
            start, end, cubic = row
            pieces = jax.tree.map(lambda numbers: numbers[:, None], cubic)
            one = Control(jnp.stack([start, end], 1), jnp.ones(len(z), jnp.int32), pieces)
            z, stats = self.between(z, start, end, one)
            return z, z, stats

        rows = (knots[:, :-1], knots[:, 1:], hermite_pieces(x, knots))
        return scan_rows(step, z0, rows)[1:]
