"""The options under which torchdiffeq takes the steps of a solve of ours."""

from __future__ import annotations

from typing import Any

import torch

from jaxode.config import SolveConfig
from torch_ref.solve import Settings

THEIR_NAME = {"heun": "heun2"}
"""torchdiffeq's names of solvers, where they differ from ours."""


def pooled(state: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """Diffrax's norm of an adjoint state: one RMS over state, adjoint and gradients."""
    _, *parts = state
    return torch.cat([part.reshape(-1) for part in parts]).pow(2).mean().sqrt()


def pooled_seminorm(state: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """The same over state and adjoint."""
    return pooled(state[:3])


def their_settings(solve: SolveConfig | None, span: tuple[float, float] = (0.0, 1.0)) -> Settings:
    """The options under which torchdiffeq takes the steps that we take."""
    if solve is None:
        return Settings()
    backsolve, adaptive = solve.gradient_facts.backward_solve, solve.step_size is None
    norm: Any = None
    if backsolve and adaptive and solve.stepping == "diffrax":
        norm = pooled if solve.backward_norm == "full" else pooled_seminorm
    elif solve.backward_norm == "seminorm":
        norm = "seminorm"
    return Settings(
        method=THEIR_NAME.get(solve.solver_facts.name, solve.solver_facts.name),
        rtol=solve.rtol,
        atol=solve.atol,
        step_size=solve.step_size,
        span=span,
        adjoint=backsolve,
        adjoint_norm=norm,
        stop_at_ends=adaptive and solve.stepping == "diffrax",
        constant_first_step=adaptive and not backsolve and solve.stepping == "diffrax",
    )
