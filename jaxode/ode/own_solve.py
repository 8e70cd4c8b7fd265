"""An explicit solve of our own, put together from settings, and differentiated as they say.

Its strategies are listed in `jaxode.ode.explicit_solve`. It serves the gradient modes `tape` and
`replay` with Diffrax's steps, and every mode with torchdiffeq's.
"""

from __future__ import annotations

from functools import partial

import diffrax
import jax
import jax.numpy as jnp
import numpy as np

from jaxode.config import SolveConfig
from jaxode.ode import tape
from jaxode.ode.adams import solve_adams
from jaxode.ode.adjoint_solve import solve_with_adjoint
from jaxode.ode.adjoint_state import BackwardCost, for_each_sample
from jaxode.ode.assemble import assemble
from jaxode.ode.end_rules import ClipToEnd
from jaxode.ode.explicit_solve import ExplicitSolve
from jaxode.ode.options import StepOptions
from jaxode.ode.recorder import DifferentiableRecorder, NoRecorder
from jaxode.ode.replay_recorder import ReplayRecorder
from jaxode.ode.residuals import LinearizedField
from jaxode.ode.stats import Outcome
from jaxode.ode.tape_recorder import NoRepair, RepairMixedSteps, TapeRecorder
from jaxode.ode.times import Span
from jaxode.types import Args, Dimension, ErrorMeasure, State, StateLike, Time, VectorField


def solve(
    field: VectorField,
    z0: StateLike,
    args: Args,
    config: SolveConfig,
    span: Span,
    options: StepOptions,
    cost: BackwardCost | None,
    *,
    single: bool,
    measure: ErrorMeasure | None = None,
) -> Outcome:
    """Solve in the time since the start, in a gradient mode of our own.

    Args:
      field: t, z, args → dz/dt.
      z0: state at t0; one array [B, ...] with per-sample step sizes.
      args: what the field reads.
      config: settings with an explicit solver.
      span: start, direction and output times.
      options: torchdiffeq's, under its stepping.
      cost: zeros whose gradient is the backward solve's cost, or None.
      single: whether the answer is the state at the only output time, instead of [T, ...].
      measure: norms of a step's error estimate, if their sum over the steps is asked for.
    """
    z0 = jax.tree.map(jnp.asarray, z0)
    plain = config.stepping == "torchdiffeq"
    time_type = jax.tree.leaves(z0)[0].dtype
    samples = z0.shape[0] if config.per_sample else None
    if plain and config.gradient_facts.backward_solve:
        if cost is None:
            cost = BackwardCost(*jnp.zeros(3, time_type))
        if samples is not None:
            outcome = _backsolve_each(field, z0, args, config, span, options, cost)
        else:
            linearized = linearized_field(field, z0, args, span, jnp.zeros((), time_type), None)
            outcome = solve_with_adjoint(linearized, z0, config, span, options, cost)
        return _squeezed(outcome, single)
    # The sizes of fixed steps depend on the times, which the tape takes for constants.
    taped = span.known or config.adaptive or not plain
    exact = config.gradient in ("tape", "replay") and taped
    through_first_step = bool(
        plain and exact and config.adaptive and options.first_step is None
        and options.first_step_gradient
    )  # fmt: skip
    shifted = exact and plain and (through_first_step or not span.known)
    shape = () if samples is None else (samples,)
    shift = jnp.zeros(shape, time_type) if shifted else None
    linearized = linearized_field(field, z0, args, span, shift, samples)
    kind = "bounded" if config.gradient == "direct" else "checkpointed"
    if config.solver_facts.multistep:
        outcome = solve_adams(linearized, z0, linearized.inputs, config, span, options, kind)
        return _squeezed(outcome, single)

    def assembled(span: Span) -> ExplicitSolve:
        return assemble(
            linearized, z0, config, span, options, samples,
            slopes=shifted, single=single, differentiable=not exact,
            measure=measure,
        )  # fmt: skip

    explicit = assembled(span)
    if exact:
        linearized.saved  # noqa: B018 - traced here, outside of what its derivative transforms
    if not exact:
        loop = explicit.solve(z0, linearized.inputs, span, NoRecorder(linearized), kind=kind)
        outcome = Outcome(
            explicit.answer(loop), loop.tried, loop.accepted, loop.failure, loop.extra, loop.errors
        )
    else:
        recorder = _recorder(config, linearized, explicit, measure is not None)
        outcome = tape.solve(
            assembled, recorder, z0, linearized.inputs, span,
            with_times=plain and not span.known, through_first_step=through_first_step,
        )  # fmt: skip
    return outcome if isinstance(explicit.end, ClipToEnd) else _squeezed(outcome, single)


def _backsolve_each(
    field: VectorField,
    z0: State,
    args: Args,
    config: SolveConfig,
    span: Span,
    options: StepOptions,
    cost: BackwardCost,
) -> Outcome:
    """A solve and a backward solve of each sample by itself, mapped over samples."""
    cost = for_each_sample(cost, z0)

    def of_one(t: Time, z: State, args: Args) -> State:
        return field(jnp.reshape(t, (1,) * (z.ndim + 1)), z[None], args)[0]

    def one(z0: State, args: Args, cost: BackwardCost, span: Span) -> Outcome:
        linearized = linearized_field(of_one, z0, args, span, jnp.zeros((), z0.dtype), None)
        return solve_with_adjoint(linearized, z0, config, span, options, cost)

    if span.known and span.outputs.ndim == 1:
        outcome = jax.vmap(partial(one, span=span), (0, None, 0))(z0, args, cost)
    else:
        outcome = jax.vmap(one, (0, None, 0, span.axes()))(z0, args, cost, span)
    return outcome._replace(z1=jnp.moveaxis(outcome.z1, 1, 0))


def linearized_field(
    field: VectorField,
    z0: State,
    args: Args,
    span: Span,
    shift: Time | None,
    samples: Dimension | None,
) -> LinearizedField:
    """The field of a rising time, with a shift of the time as its last real input."""
    # An ODETerm gives slopes the state's shape.
    vector = diffrax.ODETerm(field).vf  # type: ignore[arg-type]
    shape = () if samples is None else (samples, *[1] * (z0.ndim - 1))
    time = jnp.zeros(shape, jax.tree.leaves(z0)[0].dtype)
    rising = span.known and bool(np.all(span.sign == 1))

    def shifted(t: Time, z: State, inputs: tuple) -> State:
        args, sign, shift = inputs
        slope = vector(t if shift is None else t + shift.reshape(shape), z, args)
        if rising:
            return slope
        sign = sign.reshape(shape if sign.ndim else ())
        return jax.tree.map(lambda leaf: sign.astype(leaf.dtype) * leaf, slope)

    # An integer has no derivative, so the sign is no parameter to the adjoint's norm.
    sign = None if rising else jnp.asarray(span.sign).astype(jnp.int32)
    return LinearizedField(shifted, time, z0, (args, sign, shift))


def _recorder(
    config: SolveConfig, linearized: LinearizedField, explicit: ExplicitSolve, with_errors: bool
) -> DifferentiableRecorder:
    method, max_steps = explicit.method, explicit.max_steps
    if config.gradient == "replay":
        return ReplayRecorder(linearized, method, max_steps, with_errors)
    repair = RepairMixedSteps(method) if config.per_sample else NoRepair()
    return TapeRecorder(linearized, method, config.tape_steps, max_steps, repair, with_errors)


def _squeezed(outcome: Outcome, single: bool) -> Outcome:
    if not single:
        return outcome
    return outcome._replace(z1=jax.tree.map(lambda leaf: leaf[0], outcome.z1))
