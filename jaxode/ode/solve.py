"""The initial value problem dz/dt = f(t, z, args), solved and differentiated.

A SolveConfig says how.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import diffrax
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from jaxode.checks import ConfigError
from jaxode.config import SolveConfig
from jaxode.ode import tape
from jaxode.ode.compat import FAR, QUARTIC_SOLVERS, forward_norm, passed
from jaxode.ode.explicit_solve import ExplicitSolve
from jaxode.ode.failures import NOT_FINITE, SolveError, code_of, explain_failure
from jaxode.ode.gradients import make_adjoint
from jaxode.ode.guard import read_clock, start_clock, with_clock
from jaxode.ode.norms import rms_norm
from jaxode.ode.residuals import LinearizedField
from jaxode.ode.solvers import evaluations, make_solver
from jaxode.ode.stepsize import Adaptive, FixedGrid, grid_steps
from jaxode.types import Params, State

VectorField = Callable[[Any, State, Params], State]


class Stats(NamedTuple):
    """What a solve cost and how it ended, as int32 scalars.

    In a chain of blocks, one element for each ODE block.

    Where every image was solved by itself, there is one element more for each: [B] and [blocks, B].
    """

    nfe: Int[Array, "*blocks"]
    """Vector field evaluations of the forward solve, as the method counts them
    (`jaxode.ode.solvers.evaluations`).
    """
    accepted: Int[Array, "*blocks"]
    rejected: Int[Array, "*blocks"]
    failure: Int[Array, "*blocks"]
    """0 if the solve succeeded, else a code for `explain_failure`."""

    @classmethod
    def chain(cls, blocks: list[Stats]) -> Stats:
        """Stats with one element a block; empty arrays for an empty chain."""
        return cls(
            *(
                jnp.stack([getattr(b, n) for b in blocks]) if blocks else jnp.zeros(0, jnp.int32)
                for n in cls._fields
            )
        )

    def check(self) -> Stats:
        """Self, or SolveError saying why the first failed solve failed. Not for use inside jit."""
        for code in jnp.ravel(self.failure).tolist():
            if code:
                raise SolveError(explain_failure(code))
        return self


def odeint(
    field: VectorField,
    z0: State,
    args: Params,
    config: SolveConfig,
    *,
    t0: float = 0.0,
    t1: float = 1.0,
) -> tuple[State, Stats]:
    """State at t1 of dz/dt = field(t, z, args) with z(t0) = z0, and what it cost.

    Gradients reach `z0` and `args`, and nothing that `field` closes over (under backsolve, JAX
    raises if it closes over something differentiated). One step size serves the whole state, the
    batch included, unless the config says `per_sample`: then each image has its own steps, error
    and Stats, as if it were solved in a batch of one. A failed solve does not raise, so that it can
    run under jit: its code is in the Stats, and `Stats.check()` raises SolveError. A backsolve that
    does not reach t0 on the way back gives NaN for every gradient.

    Args:
      field: t (scalar of the state's real type), z, args → dz/dt, shaped as z. Under `per_sample`,
        t is [B, 1, …, 1], or [1, …, 1] with a state of one image, and no image may have a say in
        another's slope.
      z0: pytree of floating-point arrays, all of one type; under `per_sample` one array [B, …].
      args: pytree, usually the parameters.
      config: solver, tolerances or step size, gradient mode.
      t0: start, finite.
      t1: end, finite, before or after t0 but different.

    Raises:
      ConfigError: t0 equals t1, the state's leaves are not of one floating-point type, or
        `per_sample` has no images.
    """
    if t0 == t1:
        raise ConfigError(f"t1 must differ from t0, got t0 = {t0!r} and t1 = {t1!r}")
    types = {jnp.result_type(leaf) for leaf in jax.tree.leaves(z0)}
    if len(types) != 1 or not jnp.issubdtype(next(iter(types)), jnp.floating):
        raise ConfigError(
            f"z0 must hold arrays of one floating-point type, got {sorted(map(str, types))}"
        )
    time = next(iter(types))  # a time of another type would promote the state
    if t1 < t0:
        field, t0, t1 = _reversed(field), -t0, -t1
    if config.per_sample and (not hasattr(z0, "ndim") or z0.ndim == 0):
        raise ConfigError("z0 must be one array [B, ...] under per_sample")
    ours = config.gradient_facts.needs_explicit
    solve = _solve_ourselves if ours else _solve_with_diffrax
    z1, tried, accepted, failure = solve(field, z0, args, config, time.type(t0), time.type(t1))
    own = tuple(range(1, z0.ndim)) if config.per_sample else None
    finite = jnp.stack([jnp.isfinite(leaf).all(own) for leaf in jax.tree.leaves(z1)]).all(0)
    start, per_step = evaluations(
        make_solver(config.solver, config.rtol, config.atol), config.step_size is None
    )
    stats = Stats(
        nfe=(start + per_step * tried).astype(jnp.int32),
        accepted=accepted.astype(jnp.int32),
        rejected=(tried - accepted).astype(jnp.int32),
        failure=jnp.where((failure == 0) & ~finite, NOT_FINITE, failure).astype(jnp.int32),
    )
    return z1, jax.lax.stop_gradient(stats)


def _solve_ourselves(
    field: VectorField, z0: State, args: Params, config: SolveConfig, t0: Any, t1: Any
) -> Any:
    overshoot = config.stepping == "torchdiffeq" and config.step_size is None
    solver = (
        QUARTIC_SOLVERS[config.solver_facts.name]()
        if overshoot
        else make_solver(config.solver, config.rtol, config.atol)
    )
    z0 = jax.tree.map(jnp.asarray, z0)
    images = z0.shape[0] if config.per_sample else None
    time = t0 if images is None else jnp.full((images, *[1] * (z0.ndim - 1)), t0)
    linearized = LinearizedField(
        diffrax.ODETerm(field).vf, time, z0, args
    )  # which gives slopes the state's shape
    max_steps, controller = _steps(config, t1 - t0, rms_norm)
    taping = config.gradient_facts.taped
    explicit = ExplicitSolve(
        linearized,
        solver,
        controller,
        t0,
        t1,
        max_steps=max_steps,
        segment=config.tape_steps if taping else 1,
        taping=taping,
        overshoot=overshoot,
        images=images,
    )
    return tape.solve(explicit, z0, linearized.inputs)


def _solve_with_diffrax(
    field: VectorField, z0: State, args: Params, config: SolveConfig, t0: Any, t1: Any
) -> Any:
    clocks = jnp.zeros(z0.shape[0] if config.per_sample else (), t0.dtype)
    if config.per_sample:
        field = _of_one(field)
    if not config.gradient_facts.backward_solve:
        work, by_image = partial(_with_diffrax, field, config, t0, t1), None
    else:
        if config.stepping == "torchdiffeq":
            field, args = _with_shift(field), (args, jnp.zeros((), t0.dtype))
        z0, args = start_clock(z0, args, clocks, t1 - t0)
        work, by_image = partial(_with_diffrax, with_clock(field), config, t0, t1), (None, 0)
    return (jax.vmap(work, (0, by_image)) if config.per_sample else work)(z0, args)


def _with_diffrax(
    field: VectorField, config: SolveConfig, t0: Any, t1: Any, z0: State, args: Params
) -> Any:
    """Under backsolve, of a state with a clock."""
    backsolve = config.gradient_facts.backward_solve
    overshoot = config.stepping == "torchdiffeq" and config.step_size is None and not backsolve
    solver = (
        QUARTIC_SOLVERS[config.solver_facts.name]()
        if overshoot
        else make_solver(config.solver, config.rtol, config.atol)
    )
    max_steps, controller = _steps(config, t1 - t0, forward_norm if backsolve else rms_norm)
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(field),
        solver,
        t0=jnp.asarray(t0),
        t1=jnp.asarray(t0 + FAR if overshoot else t1),
        dt0=None,
        y0=z0,
        args=args,
        saveat=diffrax.SaveAt(ts=jnp.asarray(t1)[None]) if overshoot else diffrax.SaveAt(t1=True),
        event=passed(t1) if overshoot else None,
        stepsize_controller=dataclasses.replace(controller, end=t1) if overshoot else controller,
        adjoint=make_adjoint(config, max_steps),
        max_steps=max_steps,
        throw=False,
    )
    z1 = jax.tree.map(lambda leaf: leaf[0], solution.ys)
    if backsolve:
        z1 = read_clock(z1)
    return (
        z1,
        solution.stats["num_steps"],
        solution.stats["num_accepted_steps"],
        code_of(solution.result),
    )


def _steps(config: SolveConfig, span: Any, norm: Any) -> tuple[int, Any]:
    """Most steps of a solve, and what chooses them."""
    if config.step_size is None:
        return config.max_steps, Adaptive(config.rtol, config.atol, norm)
    return grid_steps(config.step_size, float(span)), FixedGrid(config.step_size)


def _of_one(field: VectorField) -> VectorField:
    """The field of one image [...] of a batch."""
    return lambda t, z, args: field(jnp.reshape(t, (1,) * (z.ndim + 1)), z[None], args)[0]


def _reversed(field: VectorField) -> VectorField:
    """The same curve, followed in the time -t."""
    return lambda t, z, args: jax.tree.map(jnp.negative, field(-t, z, args))


def _with_shift(field: VectorField) -> VectorField:
    """f(t + shift, z, args) with args = (args, shift).

    The adjoint then integrates ∂L/∂t, as torchdiffeq's always does.
    """
    return lambda t, z, args: field(t + args[1], z, args[0])
