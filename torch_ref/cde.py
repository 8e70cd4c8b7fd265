"""The neural controlled differential equation with torchcde's controls and torchdiffeq's solves.

Kidger, Morrill, Foster and Lyons 2020, Neural Controlled Differential Equations for Irregular Time
Series: equation 4, z(t) = z(t0) + ∫ f(z) dX, z(t0) a linear layer of X(t0), solved as the ODE
dz/dt = f(z) dX/dt of its equation 5. The field is the published code's FinalTanh
(github.com/patrick-kidger/NeuralCDE, experiments/models/vector_fields.py). The control X is the
Hermite cubic with backward differences of Morrill, Kidger, Yang and Lyons 2021, Neural Controlled
Differential Equations for Online Prediction Tasks, section 3, by torchcde 0.2.5.

The solve is that of `torchcde.cdeint`, bit for bit, but counts its steps. Weights are PyTorch's own
initial ones until a state_dict is loaded.
"""

from __future__ import annotations

import torch
import torchcde
from torch import Tensor, nn

from torch_ref.records import Record, Records, Recurrent, hold
from torch_ref.solve import FIXED_STEP, Settings, Solver

RK4 = Settings(method="rk4")
"""One step of torchdiffeq's rk4 from each row to the next."""


class Field(nn.Module):
    """f(z): `layers` linear layers with ReLU, one more with tanh, as a matrix; counted in `nfe`.

    Weights: `linear_in.*`, `linears.0.*` and so on (`layers` - 1 of them), `linear_out.*`.
    """

    def __init__(self, channels: int, hidden: int, width: int = 32, layers: int = 3) -> None:
        super().__init__()
        self.shape, self.nfe = (hidden, channels), 0
        self.linear_in = nn.Linear(hidden, width)
        self.linears = nn.ModuleList([nn.Linear(width, width) for _ in range(layers - 1)])
        self.linear_out = nn.Linear(width, hidden * channels)

    def forward(self, t: Tensor, z: Tensor) -> Tensor:
        """Matrices [..., hidden, channels] of states [..., hidden]; the time is not read."""
        self.nfe += 1
        z = torch.relu(self.linear_in(z))
        for linear in self.linears:
            z = torch.relu(linear(z))
        return torch.tanh(self.linear_out(z)).unflatten(-1, self.shape)


class ControlledField(nn.Module):
    """f(z) dX/dt, one object a solve: an adjoint solve comes after other records' forward solves.

    Args:
      field: f(t, z), matrices [..., hidden, channels], which counts its evaluations in `nfe`.
      control: X, which has a `derivative(t)`.
    """

    def __init__(self, field: Field, control: torchcde.CubicSpline) -> None:
        super().__init__()
        self.field, self.control = field, control

    @property
    def nfe(self) -> int:
        """Evaluations of f in all solves so far."""
        return self.field.nfe

    @nfe.setter
    def nfe(self, value: int) -> None:
        self.field.nfe = value

    def forward(self, t: Tensor, z: Tensor) -> Tensor:
        """Slopes [..., hidden] of states [..., hidden]."""
        return (self.field(t, z) @ self.control.derivative(t)[..., None])[..., 0]


def path(record: Record) -> Tensor:
    """What the control passes through: time and values [N, 1 + D], NaN where none was observed."""
    values = torch.where(record.mask > 0, record.values, torch.nan)
    return torch.cat([record.times[:, None], values], 1)


def control(path: Tensor, knots: Tensor) -> torchcde.CubicSpline:
    """The Hermite cubic with backward differences through a path [..., N, C] at knots [N].

    torchcde puts a line through a gap of NaN, the nearest value before the first and behind the
    last observation, and zeros where nothing was observed.
    """
    coefficients = torchcde.hermite_cubic_coefficients_with_backward_differences(path, knots)
    return torchcde.CubicSpline(coefficients, knots)


class NeuralCDE(Recurrent):
    """A neural CDE whose control has the time as its first channel, the values behind it.

    Weights: `initial.*` (1 + D → H), `field.*` (`Field`), `readout.*`.

    Args:
      inputs: values in a row.
      hidden: size of the state.
      outputs: of the readout.
      width, layers: of the field, as in `Field`.
      settings: of the solve, whose span is left aside. A fixed-step method without a step size
        takes one step from each knot to the next.
      shared_knots: with it a batch is one solve over knots 0, 1, ..., T - 1, as torchcde advises,
        and adaptive steps are shared, so that padding moves them within the tolerance; without it,
        each record is solved by itself over its own times.
    """

    def __init__(
        self,
        inputs: int,
        hidden: int,
        outputs: int,
        *,
        width: int = 32,
        layers: int = 3,
        settings: Settings = RK4,
        shared_knots: bool = False,
    ) -> None:
        super().__init__()
        self.initial = nn.Linear(1 + inputs, hidden)
        self.field = Field(1 + inputs, hidden, width, layers)
        self.readout = nn.Linear(hidden, outputs)
        self.shared_knots, self.solver = shared_knots, Solver(settings)
        """The solver's `counts` are those of all solves so far, `field.nfe` their evaluations."""

    def solve(self, path: Tensor, knots: Tensor, *, last: bool = False) -> Tensor:
        """States [..., N, hidden] at the knots [N] of a path [..., N, C], or [..., 1, hidden]."""
        x = control(path, knots)
        z0 = self.initial(x.evaluate(knots[0]))
        slope = ControlledField(self.field, x)
        fixed = self.solver.settings.method in FIXED_STEP
        every = not last or (fixed and self.solver.settings.step_size is None)
        z = self.solver.trajectory(slope, z0, knots if every else knots[[0, -1]])
        return (z[-1:] if last else z).movedim(0, -2)

    def states(self, record: Record, *, last: bool = False) -> Tensor:
        """[N, hidden]: the state at each row, or [1, hidden] at the last."""
        if len(record.times) > 1:
            return self.solve(path(record), record.times, last=last)
        seen = torch.where(record.mask > 0, record.values, 0.0)  # as torchcde has it
        return self.initial(torch.cat([record.times[:, None], seen], 1))

    def trajectories(self, records: Records) -> Tensor:
        """States [B, T, hidden], behind a record's length its last one."""
        if not self.shared_knots:
            return super().trajectories(records)
        rows = records.times.shape[1]
        paths = [path(record) for record in records.each()]
        padded = [torch.cat([x, x.new_full((rows - len(x), x.shape[1]), torch.nan)]) for x in paths]
        knots = torch.arange(rows, dtype=records.times.dtype)
        found = self.solve(torch.stack(padded), knots)
        pairs = zip(found, records.lengths.tolist(), strict=True)
        return torch.stack([hold(states[:n], rows) for states, n in pairs])

    def forward(self, records: Records, *, every: bool = False) -> Tensor:
        """Outputs [B, O] of each record's last state, or [B, T, O] of every one."""
        if every or self.shared_knots:
            return super().forward(records, every=every)
        found = [self.states(record, last=True) for record in records.each()]
        return self.readout(torch.cat(found))
