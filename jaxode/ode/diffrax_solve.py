"""The gradient modes that Diffrax carries out: one call of `diffrax.diffeqsolve`.

Per-sample step sizes are Diffrax's solve, mapped over samples.
"""

from __future__ import annotations

from functools import partial

import diffrax
import jax
import jax.numpy as jnp

from jaxode.config import SolveConfig
from jaxode.ode.compat import FAR, forward_norm, passed
from jaxode.ode.failures import code_of
from jaxode.ode.from_config import forward_controller, forward_solver, interpolates_end
from jaxode.ode.gradients import make_adjoint
from jaxode.ode.guard import read_clock, start_clock, with_clock
from jaxode.ode.norms import rms_norm
from jaxode.ode.stats import Outcome
from jaxode.types import Args, NumpyTime, StateLike, VectorField


def solve(
    field: VectorField,
    z0: StateLike,
    args: Args,
    config: SolveConfig,
    t0: NumpyTime,
    t1: NumpyTime,
) -> Outcome:
    """Solve from t0 to t1 > t0 in a gradient mode of Diffrax.

    Args:
      field: t, z, args → dz/dt.
      z0: state at t0; one array [B, ...] with per-sample step sizes.
      args: what the field reads.
      config: settings.
      t0: start, in the state's type.
      t1: end, likewise.
    """
    clocks = jnp.zeros(z0.shape[0] if config.per_sample else (), t0.dtype)
    if config.per_sample:
        field = _of_one(field)
    if not config.gradient_facts.backward_solve:
        work, args_axes = partial(_diffeqsolve, field, config, t0, t1), None
    else:
        if config.stepping == "torchdiffeq":
            field, args = _with_shift(field), (args, jnp.zeros((), t0.dtype))
        # The guard is outside of the map, where JAX has summed the gradients of `args` over
        # samples.
        z0, args = start_clock(z0, args, clocks, t1 - t0)
        work, args_axes = partial(_diffeqsolve, with_clock(field), config, t0, t1), (None, 0)
    return (jax.vmap(work, (0, args_axes)) if config.per_sample else work)(z0, args)


def _diffeqsolve(
    field: VectorField,
    config: SolveConfig,
    t0: NumpyTime,
    t1: NumpyTime,
    z0: StateLike,
    args: Args,
) -> Outcome:
    """Solve once; under backsolve, of a state with a clock."""
    backsolve, interpolates = config.gradient_facts.backward_solve, interpolates_end(config)
    max_steps, controller = forward_controller(
        config, t1 - t0, forward_norm if backsolve else rms_norm, t1 if interpolates else None
    )
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(field),  # type: ignore[arg-type]
        forward_solver(config),
        t0=jnp.asarray(t0),
        t1=jnp.asarray(t0 + FAR if interpolates else t1),
        dt0=None,
        y0=z0,
        args=args,
        saveat=diffrax.SaveAt(ts=jnp.asarray(t1)[None])
        if interpolates
        else diffrax.SaveAt(t1=True),
        event=passed(t1) if interpolates else None,
        stepsize_controller=controller,
        adjoint=make_adjoint(config, max_steps),
        max_steps=max_steps,
        throw=False,
    )
    z1 = jax.tree.map(lambda leaf: leaf[0], solution.ys)
    if backsolve:
        z1 = read_clock(z1)
    counts = solution.stats
    return Outcome(z1, counts["num_steps"], counts["num_accepted_steps"], code_of(solution.result))


def _of_one(field: VectorField) -> VectorField:
    """The field of one sample [...] of a batch."""
    return lambda t, z, args: field(jnp.reshape(t, (1,) * (z.ndim + 1)), z[None], args)[0]


def _with_shift(field: VectorField) -> VectorField:
    """f(t + shift, z, args) with args = (args, shift).

    The adjoint then integrates ∂L/∂t, as torchdiffeq's always does.
    """
    return lambda t, z, args: field(t + args[1], z, args[0])
