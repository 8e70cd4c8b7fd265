"""The latent ODE of irregularly sampled records, with the ODE-RNN as its encoder.

Rubanova, Chen and Duvenaud 2019, Latent ODEs for Irregularly-Sampled Time Series, section 3.2, as
the published code has it (github.com/YuliaRubanova/latent_ode: `Encoder_z0_ODE_RNN` of
lib/encoder_decoder.py, `compute_all_losses` of VAE_Baseline in lib/base_models.py,
lib/likelihood_eval.py). Where that code solves over the union of a batch's times, each record is
solved here over its own, and z is the state at its first time; a row without an observation at an
earlier time puts it there. The noise that draws z is an argument. Weights are PyTorch's own initial
ones until a state_dict is loaded; the code draws weights from N(0, 0.1²) and biases as zeros.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from torch_ref.latent_ode import log_normal
from torch_ref.ode_rnn import GRUUnit, TanhField
from torch_ref.records import Record, Records
from torch_ref.solve import Settings, Solver


class Encoder(nn.Module):
    """Encoder_z0_ODE_RNN: an ODE-RNN backward in time by Euler's method, and a net of its state.

    Weights: `field.net.*`, `unit.*` (the code's GRU_update), `transform.0.*` and `transform.2.*`
    (its transform_z0).

    Args:
      inputs: values in a row.
      hidden: size of the state's mean.
      latent: size of z.
      units, layers: of the field, as in `TanhField`.
      gate_units: of the unit's hidden layers.
    """

    LEAD = 0.01
    """The zero state stands this long after the last row, where there is more than one."""
    PARTS = 50
    """Euler steps are meant to be about as long as the record over PARTS."""

    def __init__(
        self, inputs: int, hidden: int, latent: int, *, units: int, layers: int, gate_units: int
    ) -> None:
        super().__init__()
        self.hidden, self.field = hidden, TanhField(hidden, units, layers)
        self.unit = GRUUnit(hidden, inputs, gate_units)
        self.transform = nn.Sequential(
            nn.Linear(2 * hidden, 100), nn.Tanh(), nn.Linear(100, 2 * latent)
        )

    def back(self, mean: Tensor, later: float, earlier: float, shortest: float) -> Tensor:
        """The state's mean at `earlier` of that at `later`.

        The published code takes steps between as many points as `shortest` goes into the gap, so
        one step fewer, and at least one.
        """
        gap = later - earlier
        steps = max(1, int(gap / shortest) - 1)
        for _ in range(steps):
            mean = mean - gap / steps * self.field(later, mean)
        return mean

    def forward(self, record: Record) -> tuple[Tensor, Tensor]:
        """Posterior means and deviations [latent] of z at the record's first time."""
        mean = std = record.values.new_zeros(self.hidden)
        times = record.times.tolist()
        shortest = (times[-1] - times[0]) / self.PARTS
        later = times[-1] + self.LEAD
        for i in reversed(range(len(times))):
            if len(times) > 1:
                mean = self.back(mean, later, times[i], shortest)
            mean, std = self.unit(mean, std, record.values[i], record.mask[i])
            later = times[i]
        mean, std = self.transform(torch.cat([mean, std])).chunk(2)
        return mean, std.abs()


class Parts(NamedTuple):
    """A loss and what it is made of; means over the records."""

    loss: Tensor
    likelihood: Tensor
    """Of each sample, [S]."""
    divergence: Tensor
    cross_entropy: Tensor
    """0 without labels."""
    mse: Tensor
    """Of the observed values, as the likelihood weighs them."""


def mean_of_observed(figures: Tensor, mask: Tensor) -> Tensor:
    """[N, S, D], [N, D] → [S]: the mean over each value's observations, then over values.

    A value that was never observed counts as 0 (lib/likelihood_eval.py).
    """
    seen = torch.where(mask[:, None] > 0, figures, 0.0).sum(0)
    return (seen / mask.sum(0).clamp(min=1)).mean(-1)


class IrregularLatentODE(nn.Module):
    """Encoder, ODE and linear decoder, and a classifier of z at the first time.

    Weights: `encoder.*`, `field.net.*`, `decoder.*` (one linear layer), `classifier.0.*`, `.2.*`
    and `.4.*` (the code's classifier).

    Args:
      inputs: values in a row.
      latent: size of z.
      hidden: size of the encoder's state.
      units: of the layers of both fields.
      encoder_layers, layers: of the encoder's field and of z's, as in `TanhField`.
      gate_units: of the encoder's unit.
      classifier_units: of the classifier's two hidden layers.
      std: of an observation in the likelihood.
      settings: of z's solve; the span is left aside.
    """

    def __init__(
        self,
        inputs: int,
        latent: int = 6,
        hidden: int = 20,
        *,
        units: int = 100,
        encoder_layers: int = 1,
        layers: int = 1,
        gate_units: int = 100,
        classifier_units: int = 300,
        std: float = 0.01,
        settings: Settings = Settings(rtol=1e-3, atol=1e-4),  # noqa: B008 - frozen
    ) -> None:
        super().__init__()
        self.encoder = Encoder(
            inputs, hidden, latent, units=units, layers=encoder_layers, gate_units=gate_units
        )
        self.field, self.decoder = TanhField(latent, units, layers), nn.Linear(latent, inputs)
        self.classifier = nn.Sequential(
            nn.Linear(latent, classifier_units),
            nn.ReLU(),
            nn.Linear(classifier_units, classifier_units),
            nn.ReLU(),
            nn.Linear(classifier_units, 1),
        )
        self.std, self.solver = std, Solver(settings)
        """The solver's `counts` are those of z's solves so far; the encoder's are in its
        `field.nfe`.
        """

    def posterior(self, records: Records) -> tuple[Tensor, Tensor]:
        """Means and deviations [B, latent] of each record's z at its first time."""
        means, stds = zip(*[self.encoder(record) for record in records.each()], strict=True)
        return torch.stack(means), torch.stack(stds)

    def decode(self, z0: Tensor, start: Tensor, times: Tensor) -> Tensor:
        """Values [N, S, D] at `times` [N] of states [S, latent] at `start`, not after the first."""
        ahead = bool(times[0] > start)
        points = torch.cat([start[None], times]) if ahead else times
        z = self.solver.trajectory(self.field, z0, points) if len(points) > 1 else z0[None]
        return self.decoder(z[1:] if ahead else z)

    def parts(
        self,
        records: Records,
        noise: Tensor,
        *,
        targets: Records | None = None,
        divergence_weight: float = 1.0,
        labels: Tensor | None = None,
        label_weight: float = 100.0,
    ) -> Parts:
        """The loss of a batch and its parts.

        -log Σ_s exp(likelihood_s - w KL) + label_weight · cross-entropy, where likelihoods are
        means over records, the KL divergence is one over records and latent dimensions, and the
        cross-entropy is its mean over samples and records, once more divided by the number of
        samples, all as in the published code.

        Args:
          records: what is encoded.
          noise: standard normal, [S, B, latent], for S samples of z.
          targets: what is predicted, from each record's first time on; the records themselves
            without it.
          divergence_weight: w, which training raises from 0 to 1.
          labels: 0 or 1 of each record, NaN where unknown, [B].
          label_weight: of the cross-entropy.
        """
        mean, std = self.posterior(records)
        z0 = mean + std * noise
        pairs = zip(z0.unbind(1), records.times[:, 0], (targets or records).each(), strict=True)
        likelihoods, errors = [], []
        for sample, start, target in pairs:
            predicted, values = self.decode(sample, start, target.times), target.values[:, None]
            densities = log_normal(values, predicted, self.std)
            likelihoods.append(mean_of_observed(densities, target.mask))
            errors.append(mean_of_observed((values - predicted) ** 2, target.mask))
        likelihood = torch.stack(likelihoods).mean(0)
        divergence = (0.5 * (std**2 + mean**2 - 1) - torch.log(std)).mean()
        loss = -torch.logsumexp(likelihood - divergence_weight * divergence, 0)
        cross_entropy = torch.zeros_like(loss)
        if labels is not None and (known := ~labels.isnan()).any():
            scores, wanted = self.classifier(z0)[..., 0][:, known], labels[known]
            cross_entropy = F.binary_cross_entropy_with_logits(scores, wanted.expand_as(scores))
            cross_entropy = cross_entropy / len(noise)
            loss = loss + label_weight * cross_entropy
        return Parts(loss, likelihood, divergence, cross_entropy, torch.stack(errors).mean())
