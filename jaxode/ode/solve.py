"""The initial value problem dz/dt = f(t, z, args), solved and differentiated.

A SolveConfig says how.
"""

from __future__ import annotations

from typing import Any, overload

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Shaped

from jaxode.checks import ConfigError
from jaxode.config import SolveConfig
from jaxode.ode import diffrax_solve, own_solve
from jaxode.ode.adjoint_state import BackwardCost
from jaxode.ode.checked import check_options, check_state, checked_field, with_time_failures
from jaxode.ode.costs import stats_of
from jaxode.ode.options import StepOptions
from jaxode.ode.reverse_mode import first_derivatives_in_reverse
from jaxode.ode.stats import Outcome, Stats
from jaxode.ode.time_gradients import with_time_gradients
from jaxode.ode.times import Span, TimesLike, span_of
from jaxode.types import Answer, Args, ErrorMeasure, State, StateLike, VectorField


@overload
def odeint(
    field: VectorField,
    z0: StateLike,
    args: Args,
    config: SolveConfig,
    /,
    *,
    t0: TimesLike = ...,
    t1: TimesLike = ...,
    options: StepOptions | None = ...,
    backward_cost: BackwardCost | None = ...,
) -> tuple[Answer, Stats]: ...
@overload
def odeint(
    field: VectorField,
    z0: StateLike,
    ts: TimesLike,
    args: Args,
    config: SolveConfig,
    /,
    *,
    options: StepOptions | None = ...,
    backward_cost: BackwardCost | None = ...,
) -> tuple[Answer, Stats]: ...


def odeint(
    field: VectorField,
    z0: StateLike,
    *rest: object,
    t0: TimesLike = 0.0,
    t1: TimesLike = 1.0,
    options: StepOptions | None = None,
    backward_cost: BackwardCost | None = None,
) -> tuple[Answer, Stats]:
    """State of dz/dt = field(t, z, args) with z(t0) = z0 at one time or at many, and what it cost.

    Two forms: `odeint(field, z0, args, config, t0=0, t1=1)` gives the state at t1, and
    `odeint(field, z0, ts, args, config)` the states at all times ts, the first of which is the
    start. One solve runs through all of them; a state between two steps is interpolated, by the
    solver's own polynomial or, with torchdiffeq's stepping, by torchdiffeq's.

    Gradients reach `z0`, the floating-point arrays of `args`, and times that are traced, and
    nothing that `field` closes over (under backsolve, JAX raises if it closes over something
    differentiated). Every gradient mode has first derivatives in reverse mode, under `jax.jit`,
    `jax.vmap`, `jax.checkpoint` and `jax.lax.scan`; `direct` has those in forward mode and of
    higher order too, which the others refuse. One step size serves the whole state, the batch
    included, unless the config says `per_sample`: then each sample has its own steps, error and
    Stats, as if it were solved in a batch of one. A failed solve does not raise, so that it can run
    under jit: its code is in the Stats, and `Stats.check()` raises SolveError. A backsolve that
    does not reach t0 on the way back gives NaN for every gradient.

    Args:
      *rest: `args` and `config`; or `ts`, `args` and `config`.
      field: t (scalar of the state's real type), z, args → dz/dt, shaped as z. Under `per_sample`,
        t is [B, 1, …, 1], or [1, …, 1] with a state of one sample, and no sample may influence
        another's slope.
      z0: pytree of floating-point arrays, all of one type; under `per_sample` one array [B, …].
      ts: T ≥ 2 finite times, rising or falling, [T]; under `per_sample` also [B, T]. Neighbours may
        be
        equal: such an interval is the identity and costs nothing, which is how series of different
        lengths are padded. Traced or not.
      args: pytree, usually the parameters; integers, keys and what is no array are passed on.
      config: solver, tolerances or step size, gradient mode.
      t0: start, finite; a number or a traced scalar.
      t1: end, before or after t0 but different.
      options: torchdiffeq's `options`, under its stepping.
      backward_cost: zeros, `BackwardCost(*jnp.zeros(3))`, whose gradient is what the backward solve
        cost, under backsolve; under `per_sample` numbers or [B].

    Returns:
      The state at t1, structured and shaped as z0, or the states at ts, [T, ...]; under
      `per_sample` [T, B, ...]. Stats of int32: scalars, or [B] under `per_sample`.

    Raises:
      ConfigError: t0 equals t1, times that do not run one way, a state whose leaves are not of one
        floating-point type, a field whose slope is shaped unlike the state, `per_sample` without
        samples, or options without torchdiffeq's stepping; where a derivative is taken that the
        gradient mode does not have.

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
      >>> zs, _ = odeint(decay, jnp.ones(1), [0.0, 1.0, 2.0], 0.5, config)
      >>> [f"{z:.3f}" for z in zs.ravel()]
      ['1.000', '0.607', '0.368']
    """
    states, _, stats = _solved(field, z0, rest, (t0, t1), options, backward_cost)
    return states, stats


def odeint_with_errors(
    field: VectorField,
    z0: StateLike,
    *rest: object,
    measure: ErrorMeasure,
    t0: TimesLike = 0.0,
    t1: TimesLike = 1.0,
    options: StepOptions | None = None,
) -> tuple[Answer, Float[Array, "..."], Stats]:
    """`odeint`, and the sum over the accepted steps of |h| times a norm of the error estimate.

    The steps are those of `odeint`. The sum has a gradient: of the error estimates E = Σ e_i k_i,
    with step sizes as constants, or with the derivative through the first step's size that
    torchdiffeq's stepping has; the factor |h| is a constant always.

    Source: Pal, Ma, Shah and Rackauckas 2021, "Opening the Blackbox: Accelerating Neural
    Differential Equations by Regularizing Internal Solver Heuristics", their R_E.

    Args:
      *rest: as of `odeint`; settings with adaptive steps of an explicit solver, and gradient tape,
        replay, direct or checkpointed.
      field: as of `odeint`.
      z0: as of `odeint`.
      measure: a step's error estimate E, structured and shaped as z0 → one number, or one for each
        sample [B], which it must be under `per_sample`; its derivative at zero must be finite.
      t0: as of `odeint`, not traced.
      t1: as of `odeint`, not traced.
      options: as of `odeint`.

    Returns:
      The states and the statistics as `odeint` gives them, and between them the sum, shaped as
      what `measure` returns.

    Raises:
      ConfigError: as of `odeint`; traced times, fixed steps, an implicit solver, or another
        gradient mode.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxode import SolveConfig
      >>> from jaxode.ode import odeint_with_errors
      >>> def largest(error):
      ...     return jnp.abs(error).max()
      >>> config = SolveConfig("bosh3", rtol=1e-4, atol=1e-4)
      >>> z1, errors, _ = odeint_with_errors(
      ...     lambda t, z, _: -z, jnp.ones(2), None, config, measure=largest
      ... )
      >>> 0 < float(errors) < 1e-4
      True
    """
    return _solved(field, z0, rest, (t0, t1), options, None, measure)


def _solved(
    field: VectorField,
    z0: StateLike,
    rest: tuple,
    ends: tuple[TimesLike, TimesLike],
    options: StepOptions | None,
    backward_cost: BackwardCost | None,
    measure: ErrorMeasure | None = None,
) -> tuple[Answer, Any, Stats]:
    """States, the sum of the steps' error estimates (None without a measure), and Stats."""
    if len(rest) not in (2, 3):
        raise TypeError("odeint takes (field, z0, args, config) or (field, z0, ts, args, config)")
    *times, args, config = rest
    if not isinstance(config, SolveConfig):
        raise ConfigError(f"config must be a SolveConfig, got {config!r}")
    ts = times[0] if times else _two(*ends)
    z0, dtype = check_state(z0, config)
    options = check_options(options, config)
    samples = z0.shape[0] if config.per_sample else None
    span = span_of(ts, dtype, samples)
    if measure is not None:
        config.check_step_errors("the sum of error estimates")
        if not span.known:
            raise ConfigError(
                "the sum of error estimates needs times that are known when the solve is traced"
            )
    field = checked_field(field)
    if not config.gradient_facts.any_derivative:
        facts = config.gradient_facts
        z0, args = first_derivatives_in_reverse((z0, args), facts)
        span = span if span.known else first_derivatives_in_reverse(span, facts)
    outcome = _solve(
        field, z0, args, config, span, options, backward_cost, single=not times, measure=measure
    )
    stats = stats_of(outcome, config, options, samples_axis=1 if times else 0)
    stats = with_time_failures(stats, field, z0, args, span, config)
    states = outcome.z1
    if times:
        states = jax.tree.map(
            lambda first, later: jnp.concatenate([first[None], later]), z0, states
        )
    return states, outcome.errors, jax.lax.stop_gradient(stats)


def _solve(
    field: VectorField,
    z0: State,
    args: Args,
    config: SolveConfig,
    span: Span,
    options: StepOptions,
    cost: BackwardCost | None,
    *,
    single: bool,
    measure: ErrorMeasure | None,
) -> Outcome:
    plain = config.stepping == "torchdiffeq"
    if span.known or plain:
        fixed, attach = span, None
    else:
        z0, attach = with_time_gradients(field, z0, args, span, single=single)
        fixed = jax.lax.stop_gradient(span)
    if cost is not None:
        dtype = jax.tree.leaves(z0)[0].real.dtype
        cost = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), cost)
    if plain or config.gradient_facts.needs_explicit or measure is not None:
        outcome = own_solve.solve(
            field, z0, args, config, fixed, options, cost, single=single, measure=measure
        )
    else:
        outcome = diffrax_solve.solve(field, z0, args, config, fixed, cost, single=single)
    return outcome if attach is None else outcome._replace(z1=attach(outcome.z1))


def _two(t0: TimesLike, t1: TimesLike) -> list | Shaped[Array, "2"]:
    if not isinstance(t0, Tracer) and not isinstance(t1, Tracer):
        if np.all(np.asarray(t0) == np.asarray(t1)):
            raise ConfigError(f"t1 must differ from t0, got t0 = {t0!r} and t1 = {t1!r}")
        return [t0, t1]
    return jnp.stack([jnp.asarray(t0, float), jnp.asarray(t1, float)])
