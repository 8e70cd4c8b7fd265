"""From a SolveConfig to the solver and the step-size controller of a forward solve."""

from __future__ import annotations

import diffrax

from jaxode.config import SolveConfig
from jaxode.ode.compat import QUARTIC_SOLVERS
from jaxode.ode.fixed_grid import FixedGrid, grid_steps
from jaxode.ode.solvers import make_solver
from jaxode.ode.step_control import Controller
from jaxode.ode.stepsize import Adaptive, Norm
from jaxode.types import NumpyTime


def interpolates_end(config: SolveConfig) -> bool:
    """Whether a forward solve steps past t1 and interpolates the answer, as torchdiffeq's does."""
    return (
        config.stepping == "torchdiffeq"
        and config.step_size is None
        and not config.gradient_facts.backward_solve
    )


def forward_solver(config: SolveConfig) -> diffrax.AbstractSolver:
    """The solver; with torchdiffeq's polynomial where the answer is interpolated."""
    if interpolates_end(config):
        return QUARTIC_SOLVERS[config.solver_facts.name]()
    return make_solver(config.solver, config.rtol, config.atol)


def forward_controller(
    config: SolveConfig, span: NumpyTime, norm: Norm, end: NumpyTime | None = None
) -> tuple[int, Controller]:
    """Most steps of a solve, and the controller of their sizes.

    Args:
      config: tolerances, or a step size.
      span: t1 - t0 > 0.
      norm: of an adaptive step's scaled error.
      end: t1, if Diffrax receives a later time.
    """
    if config.step_size is None:
        return config.max_steps, Adaptive(config.rtol, config.atol, norm, end)
    return grid_steps(config.step_size, float(span)), FixedGrid(config.step_size)
