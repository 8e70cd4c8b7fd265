"""Divergence of a vector field of independent points, exact or estimated, and its integral.

Along a path of dz/dt = f(t, z) the log-density changes by d log p / dt = -div f (Chen et al. 2018,
theorem 1, the instantaneous change of variables).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxode.checks import ConfigError
from jaxode.types import Keys, Time

Points = Float[Array, "B D"]
"""B points of D numbers."""

LogDensities = Float[Array, " B"]
"""A number for each point, in nats."""

NOISES: dict[str, Callable[..., Array]] = {
    "gaussian": jax.random.normal,
    "rademacher": jax.random.rademacher,
}
"""Distributions of the noise of Hutchinson's estimator, by name."""


def exact_divergence(
    function: Callable[[Points], Points], z: Points
) -> tuple[Points, LogDensities]:
    """Slopes and the trace of each point's Jacobian, by one product with it for each dimension.

    Args:
      function: points [B, D] → slopes [B, D]; no point may influence another's slope.
      z: points [B, D].

    Returns:
      Slopes [B, D] and divergences [B].

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxode.nn import exact_divergence
      >>> exact_divergence(lambda z: z**2, jnp.array([[1.0, 3.0]]))[1].tolist()
      [8.0]
    """
    slope, product = jax.linearize(function, z)
    units = jnp.eye(z.shape[1], dtype=z.dtype)

    def diagonal(unit: Float[Array, " D"]) -> LogDensities:
        return product(jnp.broadcast_to(unit, z.shape)) @ unit

    return slope, jax.vmap(diagonal)(units).sum(0)


def hutchinson_divergence(
    function: Callable[[Points], Points], z: Points, noise: Points
) -> tuple[Points, LogDensities]:
    """Slopes and ε·(J ε) for each point: an estimate of the trace of J, by one product with it.

    Source: Hutchinson 1989, "A stochastic estimator of the trace of the influence matrix"; FFJORD
    (Grathwohl et al. 2019), equation 7. Unbiased if ε has mean 0 and the identity as covariance.

    Args:
      function: points [B, D] → slopes [B, D]; no point may influence another's slope.
      z: points [B, D].
      noise: ε, [B, D].

    Returns:
      Slopes [B, D] and estimates [B].

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxode.nn import hutchinson_divergence
      >>> z, noise = jnp.array([[1.0, 3.0]]), jnp.array([[1.0, -1.0]])
      >>> hutchinson_divergence(lambda z: z**2, z, noise)[1].tolist()
      [8.0]
    """
    slope, change = jax.jvp(function, (z,), (noise,))
    return slope, (change * noise).sum(1)


def draw_noise(name: str, keys: Keys, dimensions: int, dtype: DTypeLike) -> Points:
    """Noise for Hutchinson's estimator, drawn for each point from its own key.

    So it does not depend on how a batch is divided.

    Args:
      name: gaussian, N(0, 1); or rademacher, -1 or 1 with equal probability.
      keys: a random key for each point, [B].
      dimensions: D.
      dtype: floating-point type.

    Returns:
      [B, D].

    Raises:
      ConfigError: another name.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from jaxode.nn import draw_noise
      >>> keys = jax.random.split(jax.random.key(0), 3)
      >>> jnp.abs(draw_noise("rademacher", keys, 2, jnp.float32)).tolist()
      [[1.0, 1.0], [1.0, 1.0], [1.0, 1.0]]
    """
    if name not in NOISES:
        raise ConfigError(f"noise must be {' or '.join(NOISES)}, got {name!r}")
    return jax.vmap(lambda key: NOISES[name](key, (dimensions,), dtype))(keys)


class LogDensityField(nnx.Module):
    """d(z, log p)/dt = (f(t, z), -div f), for a field f of points.

    Args:
      field: f(t, z) of points [B, D]; an `nnx.Module`.
      packed: whether the state is one array [B, D + 1], as per-sample step sizes need it, and not
        a pair of [B, D] and [B].

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxode.nn import HyperField, LogDensityField
      >>> field = LogDensityField(HyperField(2, rngs=nnx.Rngs(0)))
      >>> slope, change = field(jnp.array(0.5), (jnp.ones((4, 2)), jnp.zeros(4)))
      >>> slope.shape, change.shape
      ((4, 2), (4,))
    """

    def __init__(self, field: nnx.Module, packed: bool = False) -> None:
        self.field, self.packed = field, packed

    def positions(self, state: tuple[Points, LogDensities] | Float[Array, "B D1"]) -> Points:
        """The points of a state, or their slopes: what a regulariser is about."""
        return state[:, :-1] if self.packed else state[0]  # type: ignore[call-overload]

    def __call__(
        self,
        t: Time,
        state: tuple[Points, LogDensities] | Float[Array, "B D1"],
        noise: Points | None = None,
    ) -> tuple[Points, LogDensities] | Float[Array, "B D1"]:
        """The slope of the state.

        Args:
          t: one number, or [B, 1].
          state: points and log-densities; the slope does not depend on the latter.
          noise: of Hutchinson's estimator; None for the exact divergence.
        """
        z: Any = self.positions(state)

        def function(z: Points) -> Points:
            return self.field(t, z)  # type: ignore[operator]

        if noise is None:
            slope, divergence = exact_divergence(function, z)
        else:
            slope, divergence = hutchinson_divergence(function, z, noise)
        if self.packed:
            return jnp.concatenate([slope, -divergence[:, None]], 1)
        return slope, -divergence
