"""Gradient modes: how the derivative of a solve is found."""

from __future__ import annotations

from typing import Any

import diffrax

from jaxode.config import SolveConfig


def make_adjoint(
    config: SolveConfig, solver: diffrax.AbstractSolver, controller: diffrax.AbstractStepSizeController[Any, Any]
) -> diffrax.AbstractAdjoint:
    """The Diffrax adjoint of `config.gradient`.

    - `backsolve`: integrate the adjoint ODE from t1 back to t0 (Chen et al. 2018, algorithm 1). The memory is constant
      in the number of steps; the gradient carries the backward solve's own error. `solver` and `controller` are those
      of the backward solve, which chooses its first step anew.
    - `checkpointed`: differentiate the steps taken; recursive checkpoints, so steps are run again.
    - `direct`: differentiate the steps taken, keeping each one; memory grows with `max_steps`.
    """
    if config.gradient == "backsolve":
        return diffrax.BacksolveAdjoint(
            solver=solver, stepsize_controller=controller, dt0=None, max_steps=config.max_steps
        )
    if config.gradient == "checkpointed":
        return diffrax.RecursiveCheckpointAdjoint()
    return diffrax.DirectAdjoint()
