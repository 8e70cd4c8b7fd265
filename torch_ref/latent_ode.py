"""The latent ODE of torchdiffeq's examples/latent_ode.py, for spirals.

The paper is Chen, Rubanova, Bettencourt and Duvenaud 2018, Neural Ordinary Differential Equations,
section 5 and figure 6: an RNN reads the series backward in time, its last output is the posterior
of z at the first time, an ODE takes z to every time, a decoder reads the series from it. The noise
that draws z is an argument, so that two libraries compute one loss. Weights are PyTorch's own
initial ones until a state_dict is loaded.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from torch_ref.solve import Settings, Solver

TORCHDIFFEQ = Settings(method="dopri5", rtol=1e-7, atol=1e-9)
"""What odeint takes where nothing is chosen, as examples/latent_ode.py does."""


def log_normal(x: Tensor, mean: Tensor, std: float) -> Tensor:
    """Log-densities of normal distributions, in nats."""
    return -0.5 * (math.log(2 * math.pi) + ((x - mean) / std) ** 2) - math.log(std)


class Field(nn.Module):
    """LatentODEfunc: three linear layers with ELU between them; the time is not read.

    Weights: `fc1.*`, `fc2.*`, `fc3.*`.
    """

    def __init__(self, latent: int = 4, units: int = 20) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(latent, units), nn.Linear(units, units)
        self.fc3 = nn.Linear(units, latent)
        self.nfe = 0

    def forward(self, t: Tensor, z: Tensor) -> Tensor:
        """Slopes [B, latent] of states [B, latent]."""
        self.nfe += 1
        return self.fc3(F.elu(self.fc2(F.elu(self.fc1(z)))))


class RecognitionRNN(nn.Module):
    """h ← tanh(i2h[x, h]) from the last row to the first; h2o of the last h is the posterior.

    Weights: `i2h.*`, `h2o.*`, whose outputs are the means and then the logarithms of the variances.
    """

    def __init__(self, latent: int = 4, observed: int = 2, units: int = 25) -> None:
        super().__init__()
        self.i2h, self.h2o = nn.Linear(observed + units, units), nn.Linear(units, 2 * latent)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Means and log-variances [B, latent] of series [B, T, observed]."""
        h = x.new_zeros(len(x), self.i2h.out_features)
        for row in x.flip(1).unbind(1):
            h = torch.tanh(self.i2h(torch.cat([row, h], 1)))
        mean, logvar = self.h2o(h).chunk(2, 1)
        return mean, logvar


class Decoder(nn.Module):
    """Two linear layers with ReLU between them. Weights: `fc1.*`, `fc2.*`."""

    def __init__(self, latent: int = 4, observed: int = 2, units: int = 20) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(latent, units), nn.Linear(units, observed)

    def forward(self, z: Tensor) -> Tensor:
        """[..., latent] → [..., observed]."""
        return self.fc2(torch.relu(self.fc1(z)))


class LatentODE(nn.Module):
    """The model of examples/latent_ode.py, for series that share their times.

    Weights: `func.*` (Field), `rec.*` (RecognitionRNN), `dec.*` (Decoder), called as the three
    parts of that script's checkpoint are.

    Args:
      latent: size of z.
      observed: values in a row.
      units: of the field's and the decoder's layers.
      rnn_units: of the RNN.
      std: of an observation in the likelihood; the script's `noise_std`, which it also gives to
        its spirals.
      settings: of the solve; `adjoint` is the script's flag, the span is left aside.
    """

    def __init__(
        self,
        latent: int = 4,
        observed: int = 2,
        units: int = 20,
        rnn_units: int = 25,
        std: float = 0.3,
        settings: Settings = TORCHDIFFEQ,
    ) -> None:
        super().__init__()
        self.func, self.dec = Field(latent, units), Decoder(latent, observed, units)
        self.rec = RecognitionRNN(latent, observed, rnn_units)
        self.std, self.solver = std, Solver(settings)
        """The solver's `counts` are those of all solves so far."""

    def forward(self, x: Tensor, times: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Reconstruction [B, T, observed] of series x at times [T], and the posterior of z0.

        That is its means and log-variances, [B, latent]; noise [B, latent] is standard normal.
        """
        mean, logvar = self.rec(x)
        z0 = noise * torch.exp(0.5 * logvar) + mean
        z = self.solver.trajectory(self.func, z0, times).transpose(0, 1)
        return self.dec(z), mean, logvar

    def loss(self, x: Tensor, times: Tensor, noise: Tensor) -> Tensor:
        """Mean over the series of -ELBO, in nats.

        The ELBO is the log-likelihood of all rows less the divergence KL(q(z0) ‖ N(0, 1)). The
        script rounds its ln 2π to float32, which moves a loss of float64 by 3e-8 an observation.
        """
        predicted, mean, logvar = self(x, times, noise)
        likelihood = log_normal(x, predicted, self.std).sum((1, 2))
        divergence = 0.5 * (torch.exp(logvar) + mean**2 - 1 - logvar).sum(1)
        return (divergence - likelihood).mean()


def losses(
    model: LatentODE, batches: Sequence[tuple[Tensor, Tensor, Tensor]], lr: float = 0.01
) -> list[float]:
    """Loss of each batch (series, times, noise) before its update by Adam, as the script has it."""
    rule, found = torch.optim.Adam(model.parameters(), lr), []
    for batch in batches:
        rule.zero_grad()
        loss = model.loss(*batch)
        loss.backward()
        rule.step()
        found.append(loss.item())
    return found
