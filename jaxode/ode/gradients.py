"""Diffrax's gradient modes: how the derivative of a solve is found.

Our own are in `jaxode.ode.tape`.
"""

from __future__ import annotations

import diffrax

from jaxode.config import SolveConfig
from jaxode.ode.compat import mixed_norm, mixed_seminorm, pooled_norm, pooled_seminorm
from jaxode.ode.solvers import make_solver
from jaxode.ode.stepsize import Adaptive, FixedGrid

_NORMS = {
    ("diffrax", "full"): pooled_norm,
    ("diffrax", "seminorm"): pooled_seminorm,
    ("torchdiffeq", "full"): mixed_norm,
    ("torchdiffeq", "seminorm"): mixed_seminorm,
}


def make_adjoint(config: SolveConfig, max_steps: int) -> diffrax.AbstractAdjoint:
    """The Diffrax adjoint of `config.gradient`, for a forward solve of at most `max_steps` steps.

    - `backsolve`: integrate the adjoint ODE from t1 back to t0 (Chen et al. 2018, algorithm 1). The
      memory is constant in the number of steps; the gradient carries the backward solve's own
      error. That solve has the forward solve's tolerances unless told otherwise, its own norm, and
      chooses its first step anew.
    - `checkpointed`: differentiate the steps taken; recursive checkpoints, so steps are run again.
    - `direct`: differentiate the steps taken, keeping each one; memory grows with `max_steps`.
    """
    if config.gradient == "checkpointed":
        return diffrax.RecursiveCheckpointAdjoint()
    if config.gradient == "direct":
        return diffrax.DirectAdjoint()
    rtol = config.rtol if config.backward_rtol is None else config.backward_rtol
    atol = config.atol if config.backward_atol is None else config.backward_atol
    if config.step_size is None:
        controller = Adaptive(rtol, atol, _NORMS[config.stepping, config.backward_norm])
    else:
        controller = FixedGrid(config.step_size)
    solver = make_solver(config.solver, rtol, atol)
    return diffrax.BacksolveAdjoint(
        solver=solver, stepsize_controller=controller, dt0=None, max_steps=max_steps
    )
