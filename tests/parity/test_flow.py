"""Continuous normalizing flows against torchdiffeq, in float64 on the problem of its cnf.py."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

torch = pytest.importorskip("torch")
pytest.importorskip("torchdiffeq")

from flows import as_mine, circles, layers, pair  # noqa: E402

from jaxode.nn import LogDensityField  # noqa: E402
from jaxode.ode import BackwardCost, odeint  # noqa: E402
from torch_ref import cnf  # noqa: E402

OUTPUT, EXACT, ADJOINT, LOSSES = 1e-11, 1e-10, 1e-9, 1e-9


def error(a, b):
    return np.linalg.norm(np.asarray(a) - b) / np.linalg.norm(b)


@pytest.mark.parametrize(
    ("name", "gradient", "times", "noise"),
    [
        pytest.param("hypernetwork", "tape", (10.0, 0.0), None, marks=pytest.mark.slow),
        pytest.param("hypernetwork", "backsolve", (10.0, 0.0), None, marks=pytest.mark.slow),
        ("concatsquash", "tape", (0.0, 0.5), "rademacher"),
        pytest.param("concatsquash", "replay", (0.0, 0.5), None, marks=pytest.mark.slow),
        pytest.param("hypernetwork", "direct", (10.0, 0.0), "gaussian", marks=pytest.mark.slow),
        pytest.param("concatsquash", "backsolve", (0.0, 0.5), "gaussian", marks=pytest.mark.slow),
    ],
)
def test_log_densities_gradients_and_counts(name, gradient, times, noise, x64):
    flow, other = pair(name, gradient, times)
    rng = np.random.default_rng(0)
    x = circles(32, rng)
    draws = {"gaussian": rng.normal(size=x.shape), "rademacher": rng.choice([-1.0, 1.0], x.shape)}
    e = draws.get(noise)
    theirs = other.log_prob(torch.tensor(x), None if e is None else torch.tensor(e))
    forward = other.slope.nfe
    (-theirs.mean()).backward()
    backward = other.slope.nfe - forward
    graph, params = nnx.split(flow, nnx.Param)
    e = None if e is None else jnp.asarray(e)

    def loss(params, cost):
        # `log_prob` with what the backward solve cost, which an ODE block does not tell.
        flow = nnx.merge(graph, params)
        field_graph, own = nnx.split(LogDensityField(flow.field))

        def slope(t, state, args):
            return nnx.merge(field_graph, args[0])(t, state, args[1])

        state = (jnp.asarray(x), jnp.zeros(len(x)))
        (z, change), stats = odeint(
            slope, state, (own, e), flow.solve, t0=times[0], t1=times[1], backward_cost=cost
        )
        log_p = flow.base_log_prob(z) - change
        return -log_p.mean(), (log_p, stats)

    cost = BackwardCost(*jnp.zeros(3)) if gradient == "backsolve" else None
    work = jax.jit(jax.grad(loss, argnums=(0, 1) if cost else 0, has_aux=True))
    gradients, (log_p, stats) = work(params, cost)
    stats.check()
    assert error(log_p, theirs.detach().numpy()) <= OUTPUT
    assert int(stats.nfe) == forward
    if cost is not None:
        gradients, cost = gradients
        assert int(cost.nfe) == backward
    if noise is not None:  # without noise the losses of training are those of `log_prob`
        public, again = flow.log_prob(jnp.asarray(x), e)
        assert error(public, theirs.detach().numpy()) <= OUTPUT
        assert int(again.nfe) == forward
    mine = nnx.merge(graph, gradients).field
    for one, parameter, turned in layers(name, mine, other.slope.field):
        bound = ADJOINT if gradient == "backsolve" else EXACT
        assert error(one[...], as_mine(parameter.grad, turned)) <= bound


@pytest.mark.parametrize("steps", [10, pytest.param(100, marks=pytest.mark.slow)])
def test_losses_of_training_are_torchdiffeqs(steps, x64):
    flow, other = pair("hypernetwork", "tape")
    rng = np.random.default_rng(1)
    batches = np.stack([circles(32, rng) for _ in range(steps)])
    expected = cnf.losses(other, list(torch.tensor(batches)))
    graph, params = nnx.split(flow, nnx.Param)
    rule = optax.adam(1e-3)

    def step(carry, x):
        params, state = carry
        loss, gradient = jax.value_and_grad(
            lambda params: -nnx.merge(graph, params).log_prob(x)[0].mean()
        )(params)
        updates, state = rule.update(gradient, state, params)
        return (optax.apply_updates(params, updates), state), loss

    _, losses = jax.jit(lambda carry: jax.lax.scan(step, carry, jnp.asarray(batches)))(
        (params, rule.init(params))
    )
    assert np.abs(np.asarray(losses) - expected).max() <= LOSSES
    assert losses[-1] < losses[0]
