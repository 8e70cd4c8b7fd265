"""ODE-RNN and the recurrent nets with discrete states that it is compared with.

- `ODERNN`: Rubanova, Chen and Duvenaud 2019, Latent ODEs for Irregularly-Sampled Time Series,
  algorithm 1 and equations 5 and 6. Its published code (github.com/YuliaRubanova/latent_ode,
  lib/encoder_decoder.py, `run_odernn`) pairs times and gaps rightly only when it runs backward in
  time; forward in time, this file has the paper's algorithm.
- `GRUUnit`, `MaskedODERNN`: that code's GRU_unit, whose state has a mean and a standard deviation,
  of which the ODE moves the mean alone.
- `RNNDelta`: section 2 of that paper, a GRU with the time since the last observation among its
  inputs.
- `GRUD`: Che, Purushotham, Cho, Sontag and Liu 2018, Recurrent Neural Networks for Multivariate
  Time Series with Missing Values, equations 2 and 10 to 17.

All take padded records (`torch_ref.records.Records`) and start from a state of zeros at the first
row. At a row without an observation, no cell is applied but GRU-D's, which has no such exception.
Weights are PyTorch's own initial ones until a state_dict is loaded.
"""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import Tensor, nn

from torch_ref.records import Record, Recurrent
from torch_ref.solve import Settings, Solver

EULER = Settings(method="euler")
"""One Euler step from each row's time to the next."""


class TanhField(nn.Module):
    """A net of tanh layers of the state alone, counting its evaluations in `nfe`.

    Weights: `net.0.*`, `net.2.*` and so on, as create_net of the published code has them: a linear
    layer of `units` outputs, `layers` more, and one of `size` outputs.
    """

    def __init__(self, size: int, units: int = 100, layers: int = 1) -> None:
        super().__init__()
        sizes = [size, *[units] * (layers + 1), size]
        parts: list[nn.Module] = []
        for inner, outer in itertools.pairwise(sizes):
            parts += [nn.Linear(inner, outer), nn.Tanh()]
        self.net, self.nfe = nn.Sequential(*parts[:-1]), 0

    def forward(self, t: Tensor | float, h: Tensor) -> Tensor:
        """Slopes [..., size] of states [..., size]."""
        self.nfe += 1
        return self.net(h)


class GRUUnit(nn.Module):
    """A GRU whose state is a mean and a standard deviation, each gate a net of one hidden layer.

    u = σ(U[m, s, x]), r = σ(R[m, s, x]), (m', s') = N[r m, r s, x],
    m ← (1 - u) m' + u m, s ← |(1 - u) |s'| + u s|, where the inputs x are the values and the mask.
    A row of which nothing was observed keeps its state.

    Weights: `update_gate.0`, `.2`, `reset_gate.0`, `.2`, `new_state_net.0`, `.2`, as in GRU_unit.

    Args:
      hidden: size of the mean.
      inputs: values in a row; the mask doubles them.
      units: of the hidden layers.
    """

    def __init__(self, hidden: int, inputs: int, units: int = 100) -> None:
        super().__init__()
        taken = 2 * hidden + 2 * inputs

        def layers(outer: int) -> list[nn.Module]:
            return [nn.Linear(taken, units), nn.Tanh(), nn.Linear(units, outer)]

        self.update_gate = nn.Sequential(*layers(hidden), nn.Sigmoid())
        self.reset_gate = nn.Sequential(*layers(hidden), nn.Sigmoid())
        self.new_state_net = nn.Sequential(*layers(2 * hidden))

    def forward(
        self, mean: Tensor, std: Tensor, values: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Means and deviations [..., hidden] after values and mask [..., inputs]."""
        seen = torch.cat([mean, std, values, mask], -1)
        update, reset = self.update_gate(seen), self.reset_gate(seen)
        proposal = self.new_state_net(torch.cat([mean * reset, std * reset, values, mask], -1))
        new_mean, new_std = proposal.chunk(2, -1)
        new_mean = (1 - update) * new_mean + update * mean
        new_std = (1 - update) * new_std.abs() + update * std
        observed = mask.sum(-1, keepdim=True) > 0
        return torch.where(observed, new_mean, mean), torch.where(observed, new_std, std).abs()


class Evolving(Recurrent):
    """What the two ODE-RNNs share: the field, its solves and the readout.

    Args:
      hidden: size of the state.
      outputs: of the readout.
      units: of the field's layers.
      layers: of the field, besides the first and last.
      settings: of the solve from each row's time to the next; their span is left aside.
    """

    def __init__(
        self, hidden: int, outputs: int, *, units: int = 100, layers: int = 1,
        settings: Settings = EULER,
    ) -> None:  # fmt: skip
        super().__init__()
        self.hidden, self.solver = hidden, Solver(settings)
        """The solver's `counts` are those of all solves so far."""
        self.field = TanhField(hidden, units, layers)
        self.readout = nn.Linear(hidden, outputs)

    def evolve(self, h: Tensor, times: Tensor) -> Tensor:
        """The state at times[1] of that at times[0]."""
        return self.solver.trajectory(self.field, h, times)[1]


class ODERNN(Evolving):
    """Between rows dh/dt = f(h); at a row a GRU cell of its values and mask.

    Weights: `field.net.*`, `cell.*` (torch.nn.GRUCell), `readout.*`.

    Args:
      inputs: values in a row.
      hidden, outputs, **choices: as of `Evolving`.
    """

    def __init__(self, inputs: int, hidden: int, outputs: int, **choices: Any) -> None:
        super().__init__(hidden, outputs, **choices)
        self.cell = nn.GRUCell(2 * inputs, hidden)

    def states(self, record: Record) -> Tensor:
        """[N, hidden]: the state after each row."""
        h, found = record.values.new_zeros(1, self.hidden), []
        for i, (values, mask) in enumerate(zip(record.values, record.mask, strict=True)):
            if i:
                h = self.evolve(h, record.times[i - 1 : i + 1])
            if mask.any():
                h = self.cell(torch.cat([values, mask])[None], h)
            found.append(h)
        return torch.cat(found)


class MaskedODERNN(Evolving):
    """An ODE-RNN with a `GRUUnit` in place of the GRU cell; the readout reads the mean.

    Weights: `field.net.*`, `unit.*`, `readout.*`.

    Args:
      inputs: values in a row.
      hidden, outputs, **choices: as of `Evolving`.
      gate_units: of the unit's hidden layers.
    """

    def __init__(
        self, inputs: int, hidden: int, outputs: int, *, gate_units: int = 100, **choices: Any
    ) -> None:
        super().__init__(hidden, outputs, **choices)
        self.unit = GRUUnit(hidden, inputs, gate_units)

    def states(self, record: Record) -> Tensor:
        """[N, hidden]: the mean after each row."""
        mean = std = record.values.new_zeros(1, self.hidden)
        found = []
        for i, (values, mask) in enumerate(zip(record.values, record.mask, strict=True)):
            if i:
                mean = self.evolve(mean, record.times[i - 1 : i + 1])
            mean, std = self.unit(mean, std, values[None], mask[None])
            found.append(mean)
        return torch.cat(found)


class RNNDelta(Recurrent):
    """A GRU cell of values, mask and the time since the last row with an observation.

    That time is 0 at the first such row. A row without an observation is passed over.

    Weights: `cell.*` (torch.nn.GRUCell; the time is its last input), `readout.*`.
    """

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.cell = nn.GRUCell(2 * inputs + 1, hidden)
        self.readout = nn.Linear(hidden, outputs)

    def states(self, record: Record) -> Tensor:
        """[N, hidden]: the state after each row."""
        h, found = record.values.new_zeros(1, self.cell.hidden_size), []
        last: Tensor | None = None
        for t, values, mask in zip(*record, strict=True):
            if mask.any():
                gap = torch.zeros_like(t) if last is None else t - last
                h = self.cell(torch.cat([values, mask, gap[None]])[None], h)
                last = t
            found.append(h)
        return torch.cat(found)


class GRUD(Recurrent):
    """GRU-D: inputs and state decay with the time δ since each value was observed.

    γ = exp(-max(0, W δ + b)), of an input with W diagonal, of the state with W full;
    x̂ = m x + (1 - m)(γ_x x_last + (1 - γ_x) x_mean); ĥ = γ_h h;
    z, r = σ(linear[x̂, ĥ, m]); h' = tanh(linear[x̂, r ĥ, m]); h ← (1 - z) ĥ + z h'.
    Before a value's first observation x_last is its mean; δ is 0 at the first row.

    Weights: `input_decay_weight` and `input_decay_bias` [D], `state_decay.*` (D → H), `update.*`,
    `reset.*`, `candidate.*` (D + H + D → H), `readout.*`; the buffer `means` [D].

    Args:
      inputs: values in a row.
      hidden: size of the state, zeros before the first row.
      outputs: of the readout.
      means: of each value over the training set's observations, [D].
    """

    means: Tensor

    def __init__(self, inputs: int, hidden: int, outputs: int, means: Tensor) -> None:
        super().__init__()
        self.hidden = hidden
        self.register_buffer("means", means.clone())
        self.input_decay_weight = nn.Parameter(torch.rand(inputs))
        self.input_decay_bias = nn.Parameter(torch.zeros(inputs))
        self.state_decay = nn.Linear(inputs, hidden)
        self.update, self.reset, self.candidate = (
            nn.Linear(2 * inputs + hidden, hidden) for _ in range(3)
        )
        self.readout = nn.Linear(hidden, outputs)

    def states(self, record: Record) -> Tensor:
        """[N, hidden]: the state after each row."""
        h, last, found = record.values.new_zeros(self.hidden), self.means, []
        since = torch.zeros_like(record.values[0])
        for i, (values, mask) in enumerate(zip(record.values, record.mask, strict=True)):
            if i:
                gap = record.times[i] - record.times[i - 1]
                since = gap + torch.where(record.mask[i - 1] > 0, 0.0, since)
            keep = torch.exp(-torch.relu(self.input_decay_weight * since + self.input_decay_bias))
            x = torch.where(mask > 0, values, keep * last + (1 - keep) * self.means)
            h = torch.exp(-torch.relu(self.state_decay(since))) * h
            seen = torch.cat([x, h, mask])
            update, reset = torch.sigmoid(self.update(seen)), torch.sigmoid(self.reset(seen))
            proposal = torch.tanh(self.candidate(torch.cat([x, reset * h, mask])))
            h = (1 - update) * h + update * proposal
            last = torch.where(mask > 0, values, last)
            found.append(h)
        return torch.stack(found)
