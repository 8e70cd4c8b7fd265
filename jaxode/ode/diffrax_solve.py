"""The gradient modes that Diffrax carries out: one call of `diffrax.diffeqsolve`.

Per-sample step sizes are Diffrax's solve, mapped over samples.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import diffrax
import equinox
import jax
import jax.numpy as jnp
import numpy as np

from jaxode.config import SolveConfig
from jaxode.ode.adjoint_state import BackwardCost, for_each_sample
from jaxode.ode.backsolve_norms import forward_norm
from jaxode.ode.encoded_inputs import Encoded, encode
from jaxode.ode.failures import code_of
from jaxode.ode.from_config import forward_controller
from jaxode.ode.gradients import make_adjoint
from jaxode.ode.guard import read_clock, start_clock, with_clock
from jaxode.ode.norms import rms_norm
from jaxode.ode.solvers import make_solver
from jaxode.ode.stats import Outcome
from jaxode.ode.times import Span
from jaxode.types import Args, StateLike, Time, VectorField


def solve(
    field: VectorField,
    z0: StateLike,
    args: Args,
    config: SolveConfig,
    span: Span,
    cost: BackwardCost | None = None,
    *,
    single: bool,
) -> Outcome:
    """Solve in the time since the start, in a gradient mode of Diffrax.

    Args:
      field: t, z, args → dz/dt.
      z0: state at t0; one array [B, ...] with per-sample step sizes.
      args: what the field reads; arrays of floating point have a gradient, the rest is passed on.
      config: settings.
      span: start, direction and output times.
      cost: zeros whose gradient is the backward solve's cost, or None.
      single: whether the answer is the state at the only output time, instead of [T, ...].
    """
    real, rest = equinox.partition(args, _is_real)
    real = jax.tree.map(jnp.asarray, real)
    rest = jax.tree.map(lambda leaf: jnp.asarray(leaf) if hasattr(leaf, "dtype") else leaf, rest)
    dtype = jnp.asarray(span.outputs).dtype
    clocks = jnp.zeros(z0.shape[0] if config.per_sample else (), dtype)
    work = partial(_diffeqsolve, field, rest, config, single)
    real_axes: int | tuple | None = None
    if config.gradient_facts.backward_solve:
        # The guard is outside of the map, where JAX has summed the gradients of `real` over
        # samples.
        z0, (real, slope) = start_clock(z0, real, clocks, span.end)
        if cost is not None and config.per_sample:
            cost = for_each_sample(cost, z0[0])
        real, real_axes = (real, (slope, cost)), (None, 0)
    if not config.per_sample:
        return work(span, z0, real)
    if span.known and span.outputs.ndim == 1:
        outcome = jax.vmap(partial(work, span), (0, real_axes))(z0, real)
    else:
        outcome = jax.vmap(work, (span.axes(), 0, real_axes))(span, z0, real)
    return outcome if single else outcome._replace(z1=jnp.moveaxis(outcome.z1, 1, 0))


def _diffeqsolve(
    field: VectorField,
    rest: Args,
    config: SolveConfig,
    single: bool,
    span: Span,
    z0: StateLike,
    real: Args,
) -> Outcome:
    """Solve once; under backsolve, of a state with a clock."""
    backsolve = config.gradient_facts.backward_solve
    max_steps, controller = forward_controller(
        config, span, forward_norm if backsolve else rms_norm
    )
    if backsolve:
        encoded = encode((rest, jax.lax.stop_gradient(span)), span.outputs.dtype)
        real = (real[0], encoded.numbers), real[1]
        term = with_clock(_rising(field, partial(_decoded, encoded), span, config))
    else:
        term = _rising(field, lambda real: (equinox.combine(real, rest), span), span, config)
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(term),  # type: ignore[arg-type]
        make_solver(config.solver, config.rtol, config.atol),
        # A constant, not an operation: a backward solve inside a loop must close over none.
        t0=jnp.asarray(np.zeros((), span.outputs.dtype)),
        t1=jnp.asarray(span.end),
        dt0=None,
        y0=z0,
        args=real,
        saveat=diffrax.SaveAt(t1=True) if single else diffrax.SaveAt(ts=jnp.asarray(span.outputs)),
        stepsize_controller=controller,  # type: ignore[arg-type]
        adjoint=make_adjoint(config, max_steps),
        max_steps=max_steps,
        throw=False,
    )
    states = solution.ys
    if backsolve:
        last = read_clock(jax.tree.map(lambda leaf: leaf[-1], states))
        assert states is not None
        states = jax.tree.map(
            lambda leaf, end: jnp.concatenate([leaf[:-1], end[None]]), states[0], last
        )
    if single:
        states = jax.tree.map(lambda leaf: leaf[0], states)
    counts = solution.stats
    return Outcome(
        states, counts["num_steps"], counts["num_accepted_steps"], code_of(solution.result)
    )


def _is_real(leaf: Any) -> bool:
    """Whether a leaf of `args` has a gradient."""
    if hasattr(leaf, "dtype"):
        return jnp.issubdtype(leaf.dtype, jnp.inexact)
    return isinstance(leaf, float | complex)


def _decoded(encoded: Encoded, real: tuple[Args, Args]) -> tuple[Args, Span]:
    """What the field reads and the span, of the arguments of a backsolve."""
    rest, span = equinox.combine(encoded.others, encoded.decoded(real[1]))
    return equinox.combine(real[0], rest), span


def _rising(
    field: VectorField,
    read: Callable[[Args], tuple[Args, Span]],
    span: Span,
    config: SolveConfig,
) -> VectorField:
    """The field in a rising time since the start; with per-sample step sizes of one sample.

    Args:
      field: t, z, args → dz/dt.
      read: the solve's arguments → what the field reads, and the span.
      span: start, direction and output times.
      config: settings.
    """
    forward = span.known and bool(np.all(span.sign == 1))

    def rising(s: Time, z: StateLike, real: Args) -> StateLike:
        args, here = read(real)
        here = here if here.known else jax.lax.stop_gradient(here)
        t = here.clock(s)
        if config.per_sample:
            slope = field(jnp.reshape(t, (1,) * (z.ndim + 1)), z[None], args)[0]
        else:
            slope = field(t, z, args)
        return slope if forward else jax.tree.map(lambda leaf: here.sign * leaf, slope)

    return rising
