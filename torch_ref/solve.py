"""The solve by torchdiffeq, with its defaults or options that other libraries can follow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torchdiffeq import odeint, odeint_adjoint
from torchdiffeq._impl.misc import _rms_norm, _select_initial_step
from torchdiffeq._impl.odeint import SOLVERS

FIXED_STEP = (
    "euler", "midpoint", "heun2", "heun3", "rk4", "explicit_adams", "implicit_adams",
)  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """How a block is solved. The defaults leave everything to torchdiffeq."""

    method: str = "dopri5"
    rtol: float = 1e-3
    atol: float = 1e-3
    step_size: float | None = None
    """Of the fixed-step methods; torchdiffeq takes one step over the interval without it."""
    span: tuple[float, float] = (0.0, 1.0)
    adjoint: bool = False
    """Gradient by the adjoint ODE instead of through the steps."""
    adjoint_norm: str | Callable[..., Any] | None = None
    """What the adjoint solve measures its error by: None (torchdiffeq's mixed norm), "seminorm", or
    a function.
    """
    stop_at_ends: bool = False
    """End the last step of each solve on the end of its interval, in place of a step past it and
    interpolation.
    """
    constant_first_step: bool = False
    """Keep the gradient from flowing through the choice of the first step, as torchdiffeq lets it.
    """


@dataclass
class Counts:
    """Costs of solves: evaluations of the field, steps tried, steps rejected.

    `backward_` ones are those of adjoint solves. A fixed-step method rejects none.
    """

    nfe: int = 0
    steps: int = 0
    rejected: int = 0
    backward_steps: int = 0
    backward_rejected: int = 0


@dataclass
class Solver:
    """z(t1) of dz/dt = func(t, z), z(t0) = z0. Counts add up until `counts` is replaced."""

    settings: Settings = field(default_factory=Settings)
    counts: Counts = field(default_factory=Counts)
    _forward_end: int = 0

    def __call__(self, func: Any, z0: Tensor) -> Tensor:
        """[B, C, H, W] → [B, C, H, W]; `func` is a module that counts its evaluations in `nfe`."""
        span = torch.tensor(self.settings.span, dtype=z0.dtype, device=z0.device)
        return self.trajectory(func, z0, span)[1]

    def trajectory(self, func: Any, z0: Tensor, times: Tensor) -> Tensor:
        """States at `times`, z0 the first: [...] → [T, ...]. The settings' span is left aside."""
        chosen, ends = self.settings, times[[0, -1]]
        self.listen(func)
        before = func.nfe
        options: dict[str, Any] = {}
        if chosen.step_size is not None:
            options["step_size"] = chosen.step_size
        if chosen.stop_at_ends:
            options["step_t"] = ends
        if chosen.constant_first_step and chosen.method not in FIXED_STEP:
            options["first_step"] = first_step(func, z0, times[0], chosen)
            func.nfe -= 1  # f(t0, z0), which the solve evaluates again
        common = {
            "method": chosen.method,
            "rtol": chosen.rtol,
            "atol": chosen.atol,
            "options": options,
        }
        if chosen.adjoint:
            backward = {name: value for name, value in options.items() if name != "first_step"}
            if chosen.stop_at_ends:
                # Where time runs backward, torchdiffeq negates it before its adjoint sees it, but
                # not these options.
                backward["step_t"] = (times if times[0] < times[-1] else -times).flip(0)
            if chosen.adjoint_norm is not None:
                backward["norm"] = chosen.adjoint_norm
            states: Any = odeint_adjoint(func, z0, times, **common, adjoint_options=backward)
        else:
            states = odeint(func, z0, times, **common)
        self.counts.nfe += func.nfe - before
        self._forward_end = func.nfe
        return states

    def backward_nfe(self, func: Any) -> int:
        """Evaluations since the last forward solve: those of its adjoint solve, once it has run."""
        return func.nfe - self._forward_end

    def listen(self, func: Any) -> None:
        """Count steps by torchdiffeq's callbacks; fixed-step methods report only those tried."""
        adaptive = self.settings.method not in FIXED_STEP
        for suffix, prefix in (
            (("", ""), ("_adjoint", "backward_")) if self.settings.adjoint else (("", ""),)
        ):
            setattr(func, f"callback_step{suffix}", self.counter(f"{prefix}steps"))
            if adaptive:
                setattr(func, f"callback_reject_step{suffix}", self.counter(f"{prefix}rejected"))

    def counter(self, name: str) -> Callable[..., None]:
        """A callback that adds one to a count."""

        def count(t0: Tensor, y0: Tensor, dt: Tensor) -> None:
            del t0, y0, dt
            setattr(self.counts, name, getattr(self.counts, name) + 1)

        return count


@torch.no_grad()
def first_step(func: Any, z0: Tensor, start: Tensor, chosen: Settings) -> float:
    """The first step size that torchdiffeq would choose at the time `start`.

    Source: Hairer, Nørsett and Wanner 1993, II.4.
    """
    rtol, atol = (torch.tensor(value, dtype=torch.float64) for value in (chosen.rtol, chosen.atol))
    return float(
        _select_initial_step(
            func, start, z0, SOLVERS[chosen.method].order - 1, rtol, atol, _rms_norm
        )
    )
