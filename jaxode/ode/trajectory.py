"""States at many times, each computed by a solve from the one before.

Pictures of a solution need them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Shaped

from jaxode.checks import ConfigError
from jaxode.config import SolveConfig
from jaxode.ode.solve import odeint
from jaxode.ode.stats import Stats
from jaxode.types import Args, State, StateLike, Time, VectorField

Number = Float[Array, ""]

_WHOLE = 1e-6
"""How far a quotient of two times may be from a whole number: rounding, not intent."""


def trajectory(
    field: VectorField,
    z0: StateLike,
    args: Args,
    config: SolveConfig,
    ts: Sequence | Shaped[np.ndarray, "..."],
) -> tuple[State, Stats]:
    """States at times ts of dz/dt = field(t, z, args), z(ts[0]) = z0, and what they cost.

    Every state is one that the solver stepped to, not one read off an interpolant: a solve goes
    from each time to the next and begins anew there. Between two times it runs in the time (t -
    ts[i]) / (ts[i + 1] - ts[i]), so that one compiled solve serves all. Gradients, `per_sample` and
    failures are those of `odeint`. With torchdiffeq's stepping this is `odeint` with times, whose
    one solve passes through all of them.

    Args:
      field: t, z, args → dz/dt, shaped as z.
      z0: pytree of floating-point arrays [...], all of one type: the state at ts[0].
      args: pytree, usually the parameters.
      config: as for `odeint`; a fixed step has to fit a whole number of times between two of the
        times.
      ts: T ≥ 2 finite numbers, rising or falling, known when the program is traced; evenly spaced
        for a fixed step.

    Returns:
      States [T, ...], the first of which is z0; Stats with the sums of all solves and the first
      failure.

    Raises:
      ConfigError: the times are not as stated, or z0 is not what `odeint` accepts.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxode import SolveConfig, trajectory
      >>> config = SolveConfig("tsit5", rtol=1e-6, atol=1e-6)
      >>> zs, stats = trajectory(lambda t, z, a: -z, jnp.ones(1), None, config, [0, 1, 2])
      >>> [f"{z:.3f}" for z in zs.ravel()], int(stats.failure)
      (['1.000', '0.368', '0.135'], 0)
    """
    if config.stepping == "torchdiffeq":
        return odeint(field, z0, ts, args, config)
    times = _checked(ts)
    spans = np.diff(times)
    if config.step_size is not None:
        steps = _steps_between(spans, config.step_size)
        config = dataclasses.replace(
            config, step_size=1 / steps, max_steps=max(config.max_steps, steps)
        )
    z0 = jax.tree.map(jnp.asarray, z0)
    time = jnp.result_type(*jax.tree.leaves(z0))

    # An adjoint solve inside a scan must close over nothing of the scan: the interval travels with
    # the parameters.
    def within(s: Time, z: State, inputs: tuple[Args, Number, Number]) -> State:
        args, start, span = inputs
        return jax.tree.map(lambda slope: span * slope, field(start + s * span, z, args))

    def advance(z: State, interval: tuple[Number, Number]) -> tuple[State, tuple[State, Stats]]:
        z, stats = odeint(within, z, (args, *interval), config)
        return z, (z, stats)

    _, (states, each) = lax.scan(
        advance, z0, (jnp.asarray(times[:-1], time), jnp.asarray(spans, time))
    )
    states = jax.tree.map(lambda first, rest: jnp.concatenate([first[None], rest]), z0, states)
    first_failure = jnp.argmax(each.failure != 0, 0, keepdims=True)
    failure = jnp.take_along_axis(each.failure, first_failure, 0)[0]
    return states, Stats(each.nfe.sum(0), each.accepted.sum(0), each.rejected.sum(0), failure)


def _checked(ts: Sequence | Shaped[np.ndarray, "..."]) -> Float[np.ndarray, " T"]:
    times = np.asarray(ts, np.float64)
    spans = np.diff(times) if times.ndim == 1 else np.zeros(0)
    if (
        len(spans) == 0
        or not np.isfinite(times).all()
        or not ((spans > 0).all() or (spans < 0).all())
    ):
        raise ConfigError(
            f"ts must be two or more finite times, each after or each before the last, got {ts!r}"
        )
    return times


def _steps_between(spans: Float[np.ndarray, " intervals"], step_size: float) -> int:
    steps = np.abs(spans) / step_size
    count = max(1, round(float(steps[0])))
    if not np.allclose(steps, count, rtol=_WHOLE, atol=0):
        raise ConfigError(
            f"ts must be evenly spaced and a whole number of steps of step_size {step_size:g}"
            f" apart, got steps of {np.abs(spans).min():g} to {np.abs(spans).max():g}"
        )
    return count
