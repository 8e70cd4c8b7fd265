"""The gradient modes `tape` and `replay`: an explicit solve of our own, put together from settings.

Its steps are those of Diffrax; its strategies are listed in `jaxode.ode.explicit_solve`.
"""

from __future__ import annotations

import diffrax
import jax
import jax.numpy as jnp

from jaxode.config import SolveConfig
from jaxode.ode import tape
from jaxode.ode.end_rules import ClipToEnd, EndRule
from jaxode.ode.explicit_solve import ExplicitSolve
from jaxode.ode.from_config import forward_controller, forward_solver, interpolates_end
from jaxode.ode.interpolated_end import InterpolatePastEnd
from jaxode.ode.norms import rms_norm
from jaxode.ode.recorder import DifferentiableRecorder
from jaxode.ode.replay_recorder import ReplayRecorder
from jaxode.ode.residuals import LinearizedField
from jaxode.ode.runge_kutta import Method
from jaxode.ode.stats import Outcome
from jaxode.ode.step_control import Controller, PerSampleStepSizes, SharedStepSize, StepControl
from jaxode.ode.tape_recorder import NoRepair, RepairMixedSteps, TapeRecorder
from jaxode.types import Args, Dimension, NumpyTime, StateLike, VectorField


def solve(
    field: VectorField,
    z0: StateLike,
    args: Args,
    config: SolveConfig,
    t0: NumpyTime,
    t1: NumpyTime,
) -> Outcome:
    """Solve from t0 to t1 > t0 in a gradient mode of our own.

    Args:
      field: t, z, args → dz/dt.
      z0: state at t0; one array [B, ...] with per-sample step sizes.
      args: what the field reads.
      config: settings with an explicit solver.
      t0: start, in the state's type.
      t1: end, likewise.
    """
    z0 = jax.tree.map(jnp.asarray, z0)
    solver = forward_solver(config)
    method = Method(solver, t0.dtype)
    max_steps, controller = forward_controller(config, t1 - t0, rms_norm)
    samples = z0.shape[0] if config.per_sample else None
    time = t0 if samples is None else jnp.full((samples, *[1] * (z0.ndim - 1)), t0)
    # An ODETerm gives slopes the state's shape.
    term = diffrax.ODETerm(field)  # type: ignore[arg-type]
    linearized = LinearizedField(term.vf, time, z0, args)
    control = _control(controller, method, t0, t1, samples)
    explicit = ExplicitSolve(
        linearized,
        method,
        control,
        _end(config, solver, method, control, t1),
        t0,
        t1,
        max_steps=max_steps,
    )
    recorder = _recorder(config, linearized, method, max_steps)
    return tape.solve(explicit, recorder, z0, linearized.inputs)


def _control(
    controller: Controller, method: Method, t0: NumpyTime, t1: NumpyTime, samples: Dimension | None
) -> StepControl:
    if samples is None:
        return SharedStepSize(controller, method.order, t0, t1)
    return PerSampleStepSizes(controller, method.order, t1, samples)


def _end(
    config: SolveConfig,
    solver: diffrax.AbstractSolver,
    method: Method,
    control: StepControl,
    t1: NumpyTime,
) -> EndRule:
    if interpolates_end(config):
        return InterpolatePastEnd(method, control, solver.interpolation_cls, t1)
    return ClipToEnd(method, t1)


def _recorder(
    config: SolveConfig, linearized: LinearizedField, method: Method, max_steps: int
) -> DifferentiableRecorder:
    if config.gradient == "replay":
        return ReplayRecorder(linearized, method, max_steps)
    repair = RepairMixedSteps(method) if config.per_sample else NoRepair()
    return TapeRecorder(linearized, method, config.tape_steps, max_steps, repair)
