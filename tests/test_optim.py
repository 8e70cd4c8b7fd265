"""Optimisers against torch's, number by number, and the schedules against their formulas."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxode.config import OptimConfig
from jaxode.optim import learning_rate, optimizer, update

STEPS = 20
MATRIX = np.diag([3.0, 1.0, 0.2]) + 0.1
START = np.array([1.0, -2.0, 3.0])


def rate_by_hand(config, step, total):
    if config.schedule == "step":
        return config.lr / 10 ** sum(step >= round(0.3 * k * total) for k in (1, 2, 3))
    if config.schedule == "cosine":
        return config.lr * (1 + math.cos(math.pi * step / total)) / 2
    return config.lr


def path_of_ours(config):
    transform = optimizer(config, STEPS)
    params = jnp.asarray(START)
    state, path = transform.init(params), []
    for _ in range(STEPS):
        gradient = jax.grad(lambda p: p @ jnp.asarray(MATRIX) @ p / 2 + jnp.sum(jnp.sin(p)))(params)
        params, state = update(transform, gradient, state, params)
        path.append(np.asarray(params))
    return np.stack(path)


def path_of_torch(config, torch):
    params = torch.tensor(START, requires_grad=True)
    matrix = torch.tensor(MATRIX)
    decay = {"weight_decay": config.weight_decay}
    make = {
        "sgd": lambda: torch.optim.SGD([params], lr=1.0, momentum=config.momentum, **decay),
        "adam": lambda: torch.optim.Adam([params], lr=1.0, **decay),
        "adamw": lambda: torch.optim.AdamW([params], lr=1.0, **decay),
    }
    stepper, path = make[config.optimizer](), []
    for step in range(STEPS):
        stepper.param_groups[0]["lr"] = rate_by_hand(config, step, STEPS)
        stepper.zero_grad()
        (params @ matrix @ params / 2 + torch.sum(torch.sin(params))).backward()
        stepper.step()
        path.append(params.detach().numpy().copy())
    return np.stack(path)


@pytest.mark.parametrize(
    "config",
    [
        OptimConfig(schedule="constant", momentum=0.0),
        OptimConfig(schedule="step"),
        OptimConfig(schedule="cosine", weight_decay=0.1),
        OptimConfig(optimizer="adam", lr=0.05, schedule="constant"),
        OptimConfig(optimizer="adam", lr=0.05, schedule="step", weight_decay=0.3),
        OptimConfig(optimizer="adamw", lr=0.05, schedule="cosine", weight_decay=0.3),
    ],
    ids=lambda config: f"{config.optimizer}-{config.schedule}-{config.weight_decay}",
)
def test_steps_equal_those_of_torch(config, x64):
    torch = pytest.importorskip("torch")
    np.testing.assert_allclose(path_of_ours(config), path_of_torch(config, torch), rtol=1e-10)


@pytest.mark.parametrize("schedule", ["step", "cosine", "constant"])
@pytest.mark.parametrize("total", [30 * 469, 7, 3])
def test_schedules_equal_their_formulas(schedule, total):
    config = OptimConfig(lr=0.1, schedule=schedule)
    rate = learning_rate(config, total)
    for step in {
        0,
        1,
        total // 3,
        total // 2,
        total - 1,
        *(round(0.3 * k * total) - i for k in (1, 2) for i in (0, 1)),
    }:
        np.testing.assert_allclose(
            rate(jnp.asarray(step)), rate_by_hand(config, step, total), rtol=1e-5, atol=1e-8
        )


@pytest.mark.parametrize("total", [1, 2])
def test_even_the_shortest_run_begins_at_the_full_rate(total):
    assert float(
        learning_rate(OptimConfig(lr=0.1, schedule="step"), total)(jnp.asarray(0))
    ) == pytest.approx(0.1)
