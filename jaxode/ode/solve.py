"""The initial value problem dz/dt = f(t, z, args), solved and differentiated as a SolveConfig says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import diffrax
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int
from optimistix import rms_norm

from jaxode.config import ConfigError, SolveConfig
from jaxode.ode.compat import FAR, QUARTIC_SOLVERS, forward_norm, passed
from jaxode.ode.gradients import make_adjoint
from jaxode.ode.guard import read_clock, start_clock, with_clock
from jaxode.ode.solvers import evaluations, make_solver
from jaxode.ode.stepsize import Adaptive, FixedGrid, grid_steps
from jaxode.types import Params, State

VectorField = Callable[[Any, State, Params], State]

_FAILURES = {
    1: "the solver took max_steps steps before the end: raise max_steps, loosen rtol and atol, or use a lower lr",
    2: "the state or the vector field is not finite (NaN or infinity): use a lower lr, or look at the input",
    3: "the step size fell to the rounding error of the time: loosen rtol and atol, or use the implicit kvaerno3",
    4: "Newton's iteration did not converge: loosen rtol and atol, or use an explicit solver such as dopri5",
}


class SolveError(RuntimeError):
    """A solve that did not reach its end time, or reached it with a non-finite state."""


class Stats(NamedTuple):
    """What a solve cost and how it ended; int32 scalars, or one element an ODE block in a chain of blocks."""

    nfe: Int[Array, "*blocks"]
    """Vector field evaluations of the forward solve, as the method counts them (`jaxode.ode.solvers.evaluations`)."""
    accepted: Int[Array, "*blocks"]
    rejected: Int[Array, "*blocks"]
    failure: Int[Array, "*blocks"]
    """0 if the solve succeeded, else a code for `explain_failure`."""

    @classmethod
    def chain(cls, blocks: list[Stats]) -> Stats:
        """Stats with one element a block; empty arrays for an empty chain."""
        return cls(*(jnp.stack([getattr(b, n) for b in blocks]) if blocks else jnp.zeros(0, jnp.int32)
                     for n in cls._fields))  # fmt: skip

    def check(self) -> Stats:
        """Self, or SolveError saying why the first failed solve failed. Not for use inside jit."""
        for code in jnp.ravel(self.failure).tolist():
            if code:
                raise SolveError(explain_failure(code))
        return self


def explain_failure(code: int) -> str:
    """The cause of a failed solve and what to change."""
    return _FAILURES[int(code)]


def odeint(
    field: VectorField, z0: State, args: Params, config: SolveConfig, *, t0: float = 0.0, t1: float = 1.0
) -> tuple[State, Stats]:
    """State at t1 of dz/dt = field(t, z, args) with z(t0) = z0, and what it cost.

    Gradients reach `z0` and `args`, and nothing that `field` closes over (under backsolve, JAX raises if it closes
    over something differentiated). One step size serves the whole state, the batch included. A failed solve does not
    raise, so that it can run under jit: its code is in the Stats, and `Stats.check()` raises SolveError. A backsolve
    that does not reach t0 on the way back gives NaN for every gradient.

    Args:
      field: t (scalar of the state's real type), z, args → dz/dt, shaped as z.
      z0: pytree of floating-point arrays, all of one type.
      args: pytree, usually the parameters.
      config: solver, tolerances or step size, gradient mode.
      t0: start, finite.
      t1: end, finite, before or after t0 but different.

    Raises:
      ConfigError: t0 equals t1, or the state's leaves are not of one floating-point type.
    """
    if t0 == t1:
        raise ConfigError(f"t1 must differ from t0, got t0 = {t0!r} and t1 = {t1!r}")
    types = {jnp.result_type(leaf) for leaf in jax.tree.leaves(z0)}
    if len(types) != 1 or not jnp.issubdtype(next(iter(types)), jnp.floating):
        raise ConfigError(f"z0 must hold arrays of one floating-point type, got {sorted(map(str, types))}")
    time = next(iter(types))  # a time of another type would promote the state

    adaptive = config.step_size is None
    backsolve = config.gradient == "backsolve"
    overshoot = config.stepping == "torchdiffeq" and adaptive and not backsolve
    if backsolve:
        if config.stepping == "torchdiffeq":
            field, args = _with_shift(field), (args, jnp.zeros((), time))
        z0, args = start_clock(z0, args, time, abs(t1 - t0))
        field = with_clock(field)
    solver = QUARTIC_SOLVERS[config.solver]() if overshoot else make_solver(config.solver, config.rtol, config.atol)
    if config.step_size is None:
        norm = forward_norm if backsolve else rms_norm
        max_steps, controller = config.max_steps, Adaptive(config.rtol, config.atol, norm)
    else:
        max_steps, controller = grid_steps(config.step_size, abs(t1 - t0)), FixedGrid(config.step_size)
    direction = 1.0 if t1 > t0 else -1.0
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(field),
        solver,
        t0=jnp.asarray(t0, time),
        t1=jnp.asarray(t0 + direction * FAR if overshoot else t1, time),
        dt0=None,
        y0=z0,
        args=args,
        saveat=diffrax.SaveAt(ts=jnp.asarray([t1], time)) if overshoot else diffrax.SaveAt(t1=True),
        event=passed(t1, direction) if overshoot else None,
        stepsize_controller=controller,
        adjoint=make_adjoint(config, max_steps),
        max_steps=max_steps,
        throw=False,
    )
    assert solution.ys is not None
    z1 = jax.tree.map(lambda leaf: leaf[0], solution.ys)
    if backsolve:
        z1 = read_clock(z1)
    start, per_step = evaluations(solver, adaptive)
    stats = Stats(
        nfe=(start + per_step * solution.stats["num_steps"]).astype(jnp.int32),
        accepted=solution.stats["num_accepted_steps"].astype(jnp.int32),
        rejected=solution.stats["num_rejected_steps"].astype(jnp.int32),
        failure=_failure(solution.result, z1),
    )
    return z1, jax.lax.stop_gradient(stats)


def _with_shift(field: VectorField) -> VectorField:
    """f(t + shift, z, args) with args = (args, shift): its adjoint integrates ∂L/∂t, as torchdiffeq's always does."""
    return lambda t, z, args: field(t + args[1], z, args[0])


def _failure(result: Any, z1: State) -> Int[Array, ""]:
    results = diffrax.RESULTS
    finite = jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(z1)]).all()
    code = jnp.where(finite, 0, 2)
    code = jnp.where(
        (result == results.successful) | (result == results.event_occurred), code, 4
    )  # what is left comes from the root finder
    code = jnp.where(result == results.max_steps_reached, 1, code)
    code = jnp.where(result == results.nonfinite, 2, code)
    code = jnp.where(result == results.dt_min_reached, 3, code)
    return code.astype(jnp.int32)
