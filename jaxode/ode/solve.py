"""The initial value problem dz/dt = f(t, z, args), solved and differentiated.

A SolveConfig says how.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from jaxode.checks import ConfigError
from jaxode.config import SolveConfig
from jaxode.ode import diffrax_solve, own_solve
from jaxode.ode.failures import NOT_FINITE
from jaxode.ode.solvers import evaluations, make_solver
from jaxode.ode.stats import Outcome, Stats
from jaxode.types import Args, State, StateLike, VectorField


def odeint(
    field: VectorField,
    z0: StateLike,
    args: Args,
    config: SolveConfig,
    *,
    t0: float = 0.0,
    t1: float = 1.0,
) -> tuple[State, Stats]:
    """State at t1 of dz/dt = field(t, z, args) with z(t0) = z0, and what it cost.

    Gradients reach `z0` and `args`, and nothing that `field` closes over (under backsolve, JAX
    raises if it closes over something differentiated). One step size serves the whole state, the
    batch included, unless the config says `per_sample`: then each sample has its own steps, error
    and Stats, as if it were solved in a batch of one. A failed solve does not raise, so that it can
    run under jit: its code is in the Stats, and `Stats.check()` raises SolveError. A backsolve that
    does not reach t0 on the way back gives NaN for every gradient.

    Args:
      field: t (scalar of the state's real type), z, args → dz/dt, shaped as z. Under `per_sample`,
        t is [B, 1, …, 1], or [1, …, 1] with a state of one sample, and no sample may influence
        another's slope.
      z0: pytree of floating-point arrays, all of one type; under `per_sample` one array [B, …].
      args: pytree, usually the parameters.
      config: solver, tolerances or step size, gradient mode.
      t0: start, finite.
      t1: end, finite, before or after t0 but different.

    Returns:
      The state at t1, structured and shaped as z0, and Stats of int32: scalars, or [B] under
      `per_sample`.

    Raises:
      ConfigError: t0 equals t1, the state's leaves are not of one floating-point type, or
        `per_sample` has no samples.

    Example:
      Exponential decay, and the derivative of z(1) with respect to the rate.

      >>> import jax, jax.numpy as jnp
      >>> from jaxode import SolveConfig
      >>> from jaxode.ode import odeint
      >>> config = SolveConfig("dopri5", rtol=1e-5, atol=1e-5)
      >>> def decay(t, z, rate):
      ...     return -rate * z
      >>> z1, stats = odeint(decay, jnp.array([1.0, 2.0]), 0.5, config)
      >>> [f"{z:.3f}" for z in z1], int(stats.check().failure)
      (['0.607', '1.213'], 0)
      >>> slope = jax.grad(lambda rate: odeint(decay, jnp.ones(1), rate, config)[0][0])(0.5)
      >>> f"{slope:.3f}"
      '-0.607'
    """
    if t0 == t1:
        raise ConfigError(f"t1 must differ from t0, got t0 = {t0!r} and t1 = {t1!r}")
    types = {jnp.result_type(leaf) for leaf in jax.tree.leaves(z0)}
    if len(types) != 1 or not jnp.issubdtype(next(iter(types)), jnp.floating):
        raise ConfigError(
            f"z0 must hold arrays of one floating-point type, got {sorted(map(str, types))}"
        )
    time = np.dtype(next(iter(types))).type  # a time of another type would promote the state
    if t1 < t0:
        field, t0, t1 = _reversed(field), -t0, -t1
    if config.per_sample and (not hasattr(z0, "ndim") or z0.ndim == 0):
        raise ConfigError("z0 must be one array [B, ...] under per_sample")
    solve = own_solve.solve if config.gradient_facts.needs_explicit else diffrax_solve.solve
    outcome = solve(field, z0, args, config, time(t0), time(t1))
    return outcome.z1, jax.lax.stop_gradient(_stats(outcome, config))


def _stats(outcome: Outcome, config: SolveConfig) -> Stats:
    """Evaluations and steps, with the failure of a solve whose answer is not finite."""
    z1, tried, accepted, failure = outcome
    own = tuple(range(1, z1.ndim)) if config.per_sample else None
    finite = jnp.stack([jnp.isfinite(leaf).all(own) for leaf in jax.tree.leaves(z1)]).all(0)
    start, per_step = evaluations(
        make_solver(config.solver, config.rtol, config.atol), config.step_size is None
    )
    return Stats(
        nfe=(start + per_step * tried).astype(jnp.int32),
        accepted=accepted.astype(jnp.int32),
        rejected=(tried - accepted).astype(jnp.int32),
        failure=jnp.where((failure == 0) & ~finite, NOT_FINITE, failure).astype(jnp.int32),
    )


def _reversed(field: VectorField) -> VectorField:
    """The same curve, followed in the time -t."""
    return lambda t, z, args: jax.tree.map(jnp.negative, field(-t, z, args))
