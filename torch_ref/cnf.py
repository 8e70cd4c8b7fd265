"""A compact continuous normalizing flow with torchdiffeq.

Sources: torchdiffeq's examples/cnf.py for the field of the hypernetwork, the exact trace and its
settings; FFJORD (Grathwohl et al. 2019) for the concatsquash field and Hutchinson's estimator.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
import torchdiffeq
from torch import Tensor, nn


class HyperField(nn.Module):
    """cnf.py's field: a mean over `width` units whose weights are a network of the time."""

    def __init__(self, dimensions: int, hidden: int = 32, width: int = 64) -> None:
        super().__init__()
        self.dimensions, self.width = dimensions, width
        self.linear1 = nn.Linear(1, hidden)
        self.linear2 = nn.Linear(hidden, hidden)
        self.linear3 = nn.Linear(hidden, (3 * dimensions + 1) * width)

    def forward(self, t: Tensor, z: Tensor) -> Tensor:
        """Slopes [B, D] of points [B, D]."""
        hidden = torch.tanh(self.linear2(torch.tanh(self.linear1(t.reshape(1, 1)))))
        sizes = [self.width * self.dimensions] * 3 + [self.width]
        parts = self.linear3(hidden).reshape(-1).split(sizes)
        w, u, gate = (part.reshape(self.width, self.dimensions) for part in parts[:3])
        return torch.tanh(z @ w.T + parts[3]) @ (u * torch.sigmoid(gate)) / self.width


class ConcatSquash(nn.Module):
    """FFJORD's ConcatSquashLinear: a linear layer with a gate and a bias of the time."""

    def __init__(self, inner: int, outer: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inner, outer)
        self.gate = nn.Linear(1, outer)
        self.time_bias = nn.Linear(1, outer, bias=False)

    def forward(self, t: Tensor, x: Tensor) -> Tensor:
        """Outputs [B, O] of inputs [B, I]."""
        t = t.reshape(1, 1)
        return self.linear(x) * torch.sigmoid(self.gate(t)) + self.time_bias(t)


class ConcatSquashField(nn.Module):
    """Concatsquash layers with tanh between them."""

    def __init__(self, dimensions: int, hidden: Sequence[int] = (64, 64, 64)) -> None:
        super().__init__()
        sizes = [dimensions, *hidden, dimensions]
        pairs = itertools.pairwise(sizes)
        self.layers = nn.ModuleList([ConcatSquash(inner, outer) for inner, outer in pairs])

    def forward(self, t: Tensor, z: Tensor) -> Tensor:
        """Slopes [B, D] of points [B, D]."""
        for layer in self.layers[:-1]:
            z = torch.tanh(layer(t, z))
        return self.layers[-1](t, z)


class LogDensityField(nn.Module):
    """d(z, log p)/dt = (f, -div f), with the number of its evaluations.

    Args:
      field: f(t, z).
    """

    def __init__(self, field: nn.Module) -> None:
        super().__init__()
        self.field, self.nfe = field, 0
        self.noise: Tensor | None = None
        """Of Hutchinson's estimator, [B, D]; None for the exact trace."""

    def forward(self, t: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Slopes of points [B, D] and of their log-densities [B]."""
        self.nfe += 1
        z = state[0]
        with torch.set_grad_enabled(True):
            z.requires_grad_(True)
            slope = self.field(t, z)
            if self.noise is None:
                rows = [
                    torch.autograd.grad(slope[:, i].sum(), z, create_graph=True)[0][:, i]
                    for i in range(z.shape[1])
                ]
                divergence = torch.stack(rows).sum(0)
            else:
                (pulled,) = torch.autograd.grad(slope, z, self.noise, create_graph=True)
                divergence = (pulled * self.noise).sum(1)
        return slope, -divergence


class Flow(nn.Module):
    """Log-densities by torchdiffeq's dopri5, from the data's time to the base's.

    Args:
      field: f(t, z) of points [B, D].
      data_time: time of the data.
      base_time: time of the normal distribution.
      variance: of the normal distribution in each dimension.
      tolerance: rtol and atol.
      adjoint: whether the gradient is that of the adjoint ODE.
    """

    def __init__(
        self,
        field: nn.Module,
        *,
        data_time: float = 10.0,
        base_time: float = 0.0,
        variance: float = 0.1,
        tolerance: float = 1e-5,
        adjoint: bool = False,
    ) -> None:
        super().__init__()
        self.slope = LogDensityField(field)
        self.times, self.variance = (data_time, base_time), variance
        self.tolerance, self.adjoint = tolerance, adjoint

    def log_prob(self, x: Tensor, noise: Tensor | None = None) -> Tensor:
        """Log-densities [B] of points [B, D], in nats."""
        self.slope.noise = noise
        solve = torchdiffeq.odeint_adjoint if self.adjoint else torchdiffeq.odeint
        zs, changes = solve(
            self.slope,
            (x, torch.zeros(len(x), dtype=x.dtype)),
            torch.tensor(self.times, dtype=x.dtype),
            rtol=self.tolerance,
            atol=self.tolerance,
            method="dopri5",
        )
        constant = x.shape[1] * math.log(2 * math.pi * self.variance)
        return -0.5 * ((zs[-1] ** 2).sum(1) / self.variance + constant) - changes[-1]


def losses(flow: Flow, batches: Sequence[Tensor], lr: float = 1e-3) -> list[float]:
    """Mean of -log p of each batch before its update by Adam."""
    rule, found = torch.optim.Adam(flow.parameters(), lr), []
    for x in batches:
        rule.zero_grad()
        loss = -flow.log_prob(x).mean()
        loss.backward()
        rule.step()
        found.append(loss.item())
    return found
