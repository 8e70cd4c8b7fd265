"""The latent ODE of spirals against NumPy and SciPy, its gradients, its counts."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.integrate import solve_ivp

torch = pytest.importorskip("torch")
pytest.importorskip("torchdiffeq")

from torch_records import check_gradients, gradient  # noqa: E402

from torch_ref.latent_ode import TORCHDIFFEQ, LatentODE, losses  # noqa: E402

TIMES = torch.linspace(0, 1, 6, dtype=torch.float64)


def built(adjoint=False):
    torch.manual_seed(0)
    settings = dataclasses.replace(TORCHDIFFEQ, adjoint=adjoint)
    return LatentODE(latent=3, units=4, rnn_units=5, settings=settings).double()


def batch(seed=0):
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(2, 6, 2, generator=draw, dtype=torch.float64)
    return x, TIMES, torch.randn(2, 3, generator=draw, dtype=torch.float64)


def test_the_elbo_is_that_of_numpy_and_scipy():
    model, (x, times, noise) = built(), batch()
    state = {name: value.numpy() for name, value in model.state_dict().items()}

    def linear(name, given):
        return given @ state[f"{name}.weight"].T + state[f"{name}.bias"]

    def elu(given):
        return np.where(given > 0, given, np.expm1(given))

    def slope(_, flat):
        z = flat.reshape(2, 3)
        for name in ("func.fc1", "func.fc2"):
            z = elu(linear(name, z))
        return linear("func.fc3", z).ravel()

    h, data = np.zeros((2, 5)), x.numpy()
    for row in range(5, -1, -1):
        h = np.tanh(linear("rec.i2h", np.concatenate([data[:, row], h], 1)))
    out = linear("rec.h2o", h)
    mean, variance = out[:, :3], np.exp(out[:, 3:])
    z0 = mean + np.sqrt(variance) * noise.numpy()
    solved = solve_ivp(slope, (0, 1), z0.ravel(), "DOP853", times.numpy(), rtol=1e-12, atol=1e-12)
    z = solved.y.T.reshape(6, 2, 3).transpose(1, 0, 2)
    predicted = linear("dec.fc2", np.maximum(linear("dec.fc1", z), 0))
    densities = np.exp(-((data - predicted) ** 2) / (2 * 0.09)) / np.sqrt(2 * np.pi * 0.09)
    divergence = (variance + mean**2 - 1 - np.log(variance)).sum(1) / 2
    wanted = np.mean(divergence - np.log(densities).sum((1, 2)))
    assert model.loss(x, times, noise).item() == pytest.approx(wanted, rel=1e-7)


def test_gradients_are_those_of_differences():
    check_gradients(built(), lambda call: call("loss", *batch()))


def test_the_adjoint_has_the_gradients_of_the_steps_and_counts_of_its_own():
    found = []
    for adjoint in (False, True):
        model = built(adjoint)
        found.append(gradient(model, model.loss(*batch())))
        counts, backward = model.solver.counts, model.solver.backward_nfe(model.func)
        assert counts.nfe + backward == model.func.nfe
        assert counts.nfe == 2 + 6 * counts.steps  # dopri5's, which reuses its last slope
        assert (backward > 0, counts.backward_steps > 0) == (adjoint, adjoint)
    exact, adjoint = found
    assert torch.linalg.norm(adjoint - exact) <= 1e-6 * torch.linalg.norm(exact)
    assert not torch.equal(adjoint, exact)


def test_losses_are_those_before_each_update():
    model = built()
    found = losses(model, [batch(), batch()])
    again = built()
    first = again.loss(*batch())
    first.backward()
    with torch.no_grad():
        for value in again.parameters():  # Adam's first update
            value -= 0.01 * value.grad / (value.grad.abs() + 1e-8)
    assert found == pytest.approx([first.item(), again.loss(*batch()).item()], rel=1e-12)
