"""torchode's side: the reference's model with an ODE block solved by torchode.

Step sizes are per sample.
"""

from __future__ import annotations

import importlib
import time
from typing import Any

import torch
from torch import Tensor, nn

from scripts.bench.cases import TORCHODE, Case
from scripts.bench.sides import Outcome, Problem, Ready
from scripts.bench.torch_side import allocated, device, model_of, place, wait
from scripts.parity.subjects import first


class NotInstalledError(RuntimeError):
    """The library is not there."""


class FlatField(nn.Module):
    """The field on states [B, C · H · W] at times [B]."""

    def __init__(self, odefunc: Any) -> None:
        """`odefunc` acts on maps, of the shape that is set before a solve."""
        super().__init__()
        self.odefunc = odefunc
        self.shape: tuple[int, ...] = ()

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        """dz/dt."""
        return self.odefunc(t.view(-1, 1, 1, 1), y.view(-1, *self.shape)).flatten(1)


class Block(nn.Module):
    """An ODE block solved by torchode."""

    def __init__(self, odefunc: Any, tolerance: float, adjoint: bool) -> None:
        """`adjoint`: by the adjoint ODE of the whole batch, instead of through the steps."""
        super().__init__()
        try:
            self.library: Any = importlib.import_module("torchode")
        except ImportError as error:
            raise NotInstalledError(
                f"torchode is no requirement of this project; pip install it ({error})"
            ) from error
        self.field = FlatField(odefunc)
        term = self.library.ODETerm(self.field)
        method = self.library.Dopri5(term)
        control = self.library.IntegralController(atol=tolerance, rtol=tolerance, term=term)
        exact = self.library.AutoDiffAdjoint(method, control)
        self.solver = (
            self.library.JointBacksolveAdjoint(term, method, control) if adjoint else exact
        )
        self.stats: dict[str, Tensor] = {}

    def forward(self, z: Tensor) -> Tensor:
        """[B, C, H, W] → [B, C, H, W]."""
        self.field.shape = tuple(z.shape[1:])
        ends = [torch.full((len(z),), end, dtype=z.dtype, device=z.device) for end in (0.0, 1.0)]
        problem = self.library.InitialValueProblem(y0=z.flatten(1), t_start=ends[0], t_end=ends[1])
        solution = self.solver.solve(problem)
        self.stats = solution.stats
        return solution.ys[:, -1].view_as(z)


def ready(case: Case, problem: Problem) -> Ready:
    """The side of torchode in a case: loss and gradient."""
    model = model_of(case, problem, TORCHODE)
    field: Any = model[7]
    block = Block(field.odefunc, case.tolerance, case.backward_solve).to(place())
    model[7] = block
    images = torch.from_numpy(first(problem.images)).to(place())
    labels = torch.from_numpy(problem.labels).to(place())

    def run() -> tuple[Tensor, Tensor]:
        model.zero_grad(set_to_none=True)
        logits = model(images)
        loss = nn.functional.cross_entropy(logits, labels)
        loss.backward()
        wait()
        return logits, loss

    begin = time.perf_counter()
    run()
    seconds = time.perf_counter() - begin
    odefunc = field.odefunc
    odefunc.nfe = 0
    logits = model(images)
    forward = odefunc.nfe
    loss = nn.functional.cross_entropy(logits, labels)
    loss.backward()
    outcome = Outcome(
        logits.detach().cpu().numpy(),
        float(loss.detach()),
        nfe_forward=forward,
        nfe_backward=odefunc.nfe - forward,
        accepted=int(block.stats["n_accepted"].max()),
        rejected=int((block.stats["n_steps"] - block.stats["n_accepted"]).max()),
    )
    model.zero_grad(set_to_none=True)
    return Ready(
        run, outcome, seconds, allocated(run), device(), note="steps are those of the slowest image"
    )
