"""Solves of the reference over many times."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchdiffeq")

from torch_ref.solve import Settings, Solver  # noqa: E402

TIGHT = {"rtol": 1e-9, "atol": 1e-9}


class Growth(torch.nn.Module):
    """dz/dt = a z."""

    def __init__(self):
        super().__init__()
        self.rate = torch.nn.Parameter(torch.tensor(0.7, dtype=torch.float64))
        self.nfe = 0

    def forward(self, t, z):
        self.nfe += 1
        return self.rate * z


@pytest.mark.parametrize("adjoint", [False, True])
@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize(
    "chosen",
    [
        {},
        {"stop_at_ends": True},
        {"constant_first_step": True},
        {"method": "rk4", "step_size": 0.01},
    ],
)
def test_states_at_many_times_and_their_gradient(chosen, backward, adjoint):
    times = torch.tensor([1.0, 1.2, 1.9, 2.0]).double()
    times = times.flip(0) if backward else times
    field, z0 = Growth(), torch.tensor([1.0, -2.0]).double()
    solver = Solver(Settings(**TIGHT, **chosen, adjoint=adjoint))
    states = solver.trajectory(field, z0, times)
    passed = times - times[0]
    exact = z0 * torch.exp(field.rate.detach() * passed)[:, None]
    torch.testing.assert_close(states.detach(), exact, rtol=1e-7, atol=0)
    assert solver.counts.nfe == field.nfe
    states[:, 0].sum().backward()
    torch.testing.assert_close(field.rate.grad, (passed * exact[:, 0]).sum(), rtol=1e-6, atol=0)
    assert (solver.backward_nfe(field) > 0) == adjoint


def test_a_call_is_the_end_of_the_trajectory_over_the_span():
    field, z0 = Growth(), torch.ones(3).double()
    solver = Solver(Settings(span=(0.5, -1.0)))
    states = solver.trajectory(field, z0, torch.tensor([0.5, -1.0]).double())
    assert torch.equal(states[0], z0)
    assert torch.equal(solver(field, z0), states[1])
