"""An explicit solve from settings: its method, step-size control, end and interpolant."""

from __future__ import annotations

import diffrax
import jax

from jaxode.config import SolveConfig
from jaxode.ode.dense_output import DenseOutput
from jaxode.ode.end_rules import ClipToEnd, EndRule
from jaxode.ode.explicit_solve import ExplicitSolve
from jaxode.ode.from_config import forward_controller, most_steps, torchdiffeq_controller
from jaxode.ode.loop_state import Evaluations
from jaxode.ode.norms import largest_rms_norm, rms_norm
from jaxode.ode.options import StepOptions
from jaxode.ode.polynomials import StepPolynomial, hermite, linear
from jaxode.ode.residuals import LinearizedField
from jaxode.ode.runge_kutta import Method
from jaxode.ode.solvers import make_solver
from jaxode.ode.step_control import Controller, PerSampleStepSizes, SharedStepSize, StepControl
from jaxode.ode.stepsize import Norm
from jaxode.ode.times import Span
from jaxode.types import Dimension, ErrorMeasure, NumpyTime, State


def assemble(
    linearized: LinearizedField,
    z0: State,
    config: SolveConfig,
    span: Span,
    options: StepOptions,
    samples: Dimension | None,
    *,
    norm: Norm | None = None,
    slopes: bool = False,
    single: bool = False,
    differentiable: bool = False,
    measure: ErrorMeasure | None = None,
) -> ExplicitSolve:
    """The explicit solve of these settings.

    Args:
      linearized: the field.
      z0: state at t0.
      config: settings with an explicit solver.
      span: start, direction and output times.
      options: torchdiffeq's, under its stepping.
      samples: number of samples with per-sample step sizes, else None.
      norm: of a state; None for the one of the stepping and the options.
      slopes: whether times have a gradient.
      single: whether only the state at the end is asked for.
      differentiable: whether JAX differentiates the loop itself.
      measure: norms of a step's error estimate, if their sum over the steps is asked for.
    """
    zero: NumpyTime = jax.tree.leaves(z0)[0].dtype.type(0)
    shape = () if samples is None else (samples,)
    plain = config.stepping == "torchdiffeq"
    if norm is None:
        norm = (options.norm or largest_rms_norm) if plain else rms_norm
    solver = make_solver(config.solver, config.rtol, config.atol, torchdiffeqs=plain)
    method = Method(solver, zero.dtype)
    steps = None
    if plain:
        controller, steps = torchdiffeq_controller(config, span, options, norm)
        limit = steps if isinstance(steps, int) else most_steps(config, span)
    else:
        limit, controller = forward_controller(config, span, norm)
    control = _control(controller, method, norm, zero, samples)
    end: EndRule
    if not plain and single and span.known:
        end = ClipToEnd(method, span.outputs[-1])  # type: ignore[arg-type]
    else:
        cubic = plain and steps is not None and options.interp == "cubic"
        end = DenseOutput(
            method,
            _polynomial(solver, method, fixed=plain and steps is not None, cubic=cubic),
            shape,
            clips=not plain,
            steps=steps,
            slopes=slopes,
            differentiable=differentiable,
        )
    jumps = span.since_start(options.jump_t) if len(options.jump_t) else None
    adaptive = plain and config.adaptive
    return ExplicitSolve(
        linearized,
        method,
        control,
        end,
        zero,
        max_steps=limit,
        beside=Evaluations(
            after_start=plain and options.perturb and not adaptive,
            before_end=adaptive or (plain and options.perturb),
        ),
        jumps=jumps,
        slope_at_end=plain and steps is not None and options.interp == "cubic",
        measure=measure,
    )


def _control(
    controller: Controller, method: Method, norm: Norm, zero: NumpyTime, samples: Dimension | None
) -> StepControl:
    if samples is None:
        return SharedStepSize(controller, method.order, zero)
    return PerSampleStepSizes(controller, method.order, norm, samples)


def _polynomial(
    solver: diffrax.AbstractSolver, method: Method, *, fixed: bool, cubic: bool
) -> StepPolynomial:
    if cubic:
        return StepPolynomial(hermite, 2)
    return StepPolynomial(linear if fixed else solver.interpolation_cls, method.stages)
