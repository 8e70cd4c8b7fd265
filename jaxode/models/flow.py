"""A continuous normalizing flow: a density whose points an ODE carries to a normal distribution."""

from __future__ import annotations

import dataclasses
import math

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Key

from jaxode.checks import ConfigError, require_count
from jaxode.config import SolveConfig
from jaxode.nn.divergence import NOISES, LogDensities, LogDensityField, Points, draw_noise
from jaxode.nn.ode_block import ODEBlock
from jaxode.nn.regularisation import Regularised, check_steer
from jaxode.ode import Stats
from jaxode.types import Time, Training


class ContinuousFlow(Regularised):
    """The density of points that dz/dt = f(t, z) carries from N(0, variance) to the data.

    log p(x) = log N(z; 0, variance) - ∫ div f dt, where z is where the ODE takes x from `data_time`
    to `base_time`, and the integral runs along that path from the base to the data.

    Source: Chen et al. 2018, "Neural Ordinary Differential Equations", section 4; FFJORD (Grathwohl
    et al. 2019) for Hutchinson's estimator and the trained end time.

    Args:
      field: f(t, z) of points [B, D]; an `nnx.Module`, `HyperField` or `ConcatSquashField` say.
      dimensions: D, numbers of a point.
      solve: how the ODE is solved and differentiated; None for dopri5 with tolerances of 1e-5.
      data_time: time of the data.
      base_time: time of the normal distribution, before or after it.
      trained_time: whether `base_time` is trained, as the square of a parameter; then it must be
        positive and `data_time` 0.
      variance: of the normal distribution in each dimension, above 0.
      noise: "gaussian" or "rademacher": in training the divergence is Hutchinson's estimate with
        such noise, one draw a solve. None: it is exact, as it always is in evaluation.

    Raises:
      ConfigError: a value outside its range.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxode import SolveConfig
      >>> from jaxode.models import ContinuousFlow
      >>> from jaxode.nn import ConcatSquashField
      >>> field = ConcatSquashField(2, (8,), rngs=nnx.Rngs(0))
      >>> flow = ContinuousFlow(field, 2, SolveConfig("bosh3", rtol=1e-5, atol=1e-5))
      >>> x, _ = flow.sample(jax.random.key(0), 3)
      >>> log_p, stats = flow.log_prob(x)
      >>> log_p.shape, int(stats.failure)
      ((3,), 0)
    """

    def __init__(
        self,
        field: nnx.Module,
        dimensions: int,
        solve: SolveConfig | None = None,
        *,
        data_time: float = 0.0,
        base_time: float = 1.0,
        trained_time: bool = False,
        variance: float = 1.0,
        noise: str | None = None,
    ) -> None:
        require_count("dimensions", dimensions)
        if noise not in (None, *NOISES):
            raise ConfigError(f"noise must be None, {' or '.join(NOISES)}, got {noise!r}")
        if not (math.isfinite(variance) and variance > 0):
            raise ConfigError(f"variance must be above 0, got {variance!r}")
        if data_time == base_time:
            raise ConfigError(f"base_time must differ from data_time, got {base_time!r} for both")
        if trained_time and (data_time != 0 or base_time <= 0):
            raise ConfigError(
                "trained_time needs data_time 0 and a positive base_time, got"
                f" {data_time!r} and {base_time!r}"
            )
        self.field = TrainedSpan(field, base_time) if trained_time else field
        self.dimensions, self.variance, self.noise = dimensions, variance, noise
        self.solve = SolveConfig(rtol=1e-5, atol=1e-5) if solve is None else solve
        self.data_time, self.base_time = data_time, 1.0 if trained_time else base_time
        check_steer(self.solve, self.data_time, self.base_time)

    def __call__(self, x: Points, training: Training | None = None) -> tuple[LogDensities, Stats]:
        """Log-densities of points in nats, [B]; and statistics of the solve, with an axis of one.

        Args:
          x: points [B, D].
          training: random keys of the points, for Hutchinson's estimator; None in evaluation.
        """
        noise = None
        if training is not None and self.noise is not None:
            noise = draw_noise(self.noise, training.keys, self.dimensions, x.dtype)
        log_p, stats = self.log_prob(x, noise)
        return log_p, Stats.chain([stats])

    def log_prob(
        self, x: Points, noise: Points | None = None, *, along: float = 0.0
    ) -> tuple[LogDensities, Stats]:
        """Log-densities of points in nats.

        Args:
          x: points [B, D].
          noise: of Hutchinson's estimator, [B, D]; None for the exact divergence.
          along: which density: that at this part of the way from the data (0) to the base (1).

        Returns:
          [B], and statistics of the solve.
        """
        z, change, stats = self.transport(x, noise, along=along)
        return self.base_log_prob(z) - change, stats

    def transport(
        self, x: Points, noise: Points | None = None, *, along: float = 0.0
    ) -> tuple[Points, LogDensities, Stats]:
        """Where points end at the base's time, and by how much log p differs between the ends.

        Args:
          x: points [B, D].
          noise: of Hutchinson's estimator, [B, D]; None for the exact divergence.
          along: where on the way from the data (0) to the base (1) they start.

        Returns:
          z [B, D]; ∫ d log p / dt dt along the way to the base, log p(z) - log p(x) [B]; and
          statistics of the solve.
        """
        zeros = jnp.zeros(x.shape[0], x.dtype)
        packed = self.solve.per_sample
        state = jnp.concatenate([x, zeros[:, None]], 1) if packed else (x, zeros)
        field = LogDensityField(self.field, packed)
        training = hasattr(self, "draws")  # after `begin_training`
        solve = self.solve if training else self._evaluation
        block = ODEBlock(field, solve, self._time(along), self.base_time)
        if training:
            block.draws, block.penalty = self.draws, self.penalty
        if hasattr(self, "backward_cost"):  # its backward solve is counted
            block.backward_cost = self.backward_cost
        end, stats = block(state, noise)
        z, change = (end[:, :-1], end[:, -1]) if packed else end
        return z, change, stats

    def base_log_prob(self, z: Points) -> LogDensities:
        """Log-densities [B] of points [B, D] under the normal distribution, in nats."""
        constant = self.dimensions * math.log(2 * math.pi * self.variance)
        return -0.5 * ((z**2).sum(1) / self.variance + constant)

    def encode(self, x: Points, *, along: float = 0.0) -> tuple[Points, Stats]:
        """Where points end at the base's time.

        Args:
          x: points [B, D].
          along: where on the way from the data (0) to the base (1) they start.

        Returns:
          [B, D], and statistics of the solve.
        """
        return ODEBlock(self.field, self._evaluation, self._time(along), self.base_time)(x)

    def decode(self, z: Points, *, along: float = 0.0) -> tuple[Points, Stats]:
        """Where points of the normal distribution go: the inverse of `encode`.

        Args:
          z: points [B, D].
          along: where on the way from the data (0) to the base (1) they end.

        Returns:
          [B, D], and statistics of the solve.
        """
        return ODEBlock(self.field, self._evaluation, self.base_time, self._time(along))(z)

    def sample_base(self, key: Key[Array, ""], count: int) -> Points:
        """Points [count, D] of the normal distribution."""
        dtype = jnp.result_type(*jax.tree.leaves(nnx.state(self.field, nnx.Param)))
        return math.sqrt(self.variance) * jax.random.normal(key, (count, self.dimensions), dtype)

    def sample(
        self, key: Key[Array, ""], count: int, *, along: float = 0.0
    ) -> tuple[Points, Stats]:
        """Points of the density.

        Args:
          key: a random key.
          count: how many points, at least 1.
          along: which density: that at this part of the way from the data (0) to the base (1).

        Returns:
          [count, D], and statistics of the solve.
        """
        require_count("count", count)
        return self.decode(self.sample_base(key, count), along=along)

    @property
    def _evaluation(self) -> SolveConfig:
        """The settings of a solve that is not regularised."""
        return dataclasses.replace(self.solve, regularise=None)

    def _time(self, along: float) -> float:
        """The time at a part of the way from data to base. Raises ConfigError."""
        if not 0 <= along < 1:
            raise ConfigError(f"along must be from 0 to below 1, got {along!r}")
        return self.data_time + along * (self.base_time - self.data_time)


class TrainedSpan(nnx.Module):
    """T f(T s, z) at s from 0 to 1: a field over the times from 0 to a trained T.

    T is the square of a parameter, as in FFJORD's code. The span is part of the field, so that
    every gradient mode has its gradient.

    Args:
      field: f(t, z).
      end: initial value of T, above 0.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxode.models.flow import TrainedSpan
      >>> from jaxode.nn import HyperField
      >>> print(f"{TrainedSpan(HyperField(2, rngs=nnx.Rngs(0)), 0.5).end:.2f}")
      0.50
    """

    def __init__(self, field: nnx.Module, end: float) -> None:
        dtype = jnp.result_type(*jax.tree.leaves(nnx.state(field, nnx.Param)))
        self.field = field
        self.root = nnx.Param(jnp.asarray(math.sqrt(end), dtype))

    @property
    def end(self) -> Float[Array, ""]:
        """T."""
        return self.root[...] ** 2

    def __call__(self, t: Time, z: Points) -> Points:
        """The slope at a time from 0 to 1."""
        return self.end * self.field(self.end * t, z)  # type: ignore[operator]
