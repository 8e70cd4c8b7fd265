"""Solves of the reference over many times."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchdiffeq")

from torch_ref.solve import Settings, Solver  # noqa: E402

TIGHT = {"rtol": 1e-9, "atol": 1e-9}


class Growth(torch.nn.Module):
    """dz/dt = a t z, which remembers when it was evaluated."""

    def __init__(self):
        super().__init__()
        self.rate = torch.nn.Parameter(torch.tensor(0.7, dtype=torch.float64))
        self.nfe, self.times = 0, []

    def forward(self, t, z):
        self.nfe += 1
        self.times.append(t.item())
        return self.rate * t * z


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
    passed = (times**2 - times[0] ** 2) / 2
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


def test_the_first_step_that_is_kept_constant_is_torchdiffeqs():
    field, times = Growth(), torch.tensor([3.0, 3.1, 4.0]).double()
    found = []
    for constant in (False, True):
        solver = Solver(Settings(**TIGHT, constant_first_step=constant))
        found.append(solver.trajectory(field, torch.ones(2).double(), times))
        found.append(torch.tensor(solver.counts.nfe))
    assert torch.equal(found[0], found[2])
    assert torch.equal(found[1], found[3])


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("stop", [False, True])
def test_each_solve_stops_at_its_end_if_it_is_told_to(stop, backward):
    """The forward solve at the last time, an adjoint solve at every time before it."""
    times = [2.0, 1.9, 1.2, 1.0] if backward else [1.0, 1.2, 1.9, 2.0]
    field = Growth()
    solver = Solver(Settings(**TIGHT, adjoint=True, stop_at_ends=stop))
    states = solver.trajectory(
        field, torch.ones(2).double(), torch.tensor(times, dtype=torch.float64)
    )
    past = [t for t in field.times if (t < 1 - 1e-12 if backward else t > 2 + 1e-12)]
    assert bool(past) != stop
    assert not any(abs(t - end) < 1e-12 for t in field.times for end in times[1:-1])
    field.times.clear()
    states[-1].sum().backward()
    # The first slope of the next adjoint solve, and two of a step that ends there.
    near = [sum(abs(t - end) < 1e-12 for t in field.times) for end in times[1:-1]]
    assert near == ([3, 3] if stop else [1, 1])
