"""The ODE function against SciPy: a plain NumPy field, DOP853 at 1e-12, and finite differences of
its loss.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy.integrate import solve_ivp

from jaxode.config import GRADIENT_FACTS, SolveConfig
from jaxode.nn.fields import ConvField
from jaxode.nn.kernels import MATMUL
from jaxode.ode import odeint

BATCH, SIDE, WIDTH = 2, 3, 4
SHAPE = (BATCH, SIDE, SIDE, WIDTH)


def group_norm(x, scale, bias):
    """Groups of one channel each, as there are fewer than 32 channels."""
    mean, variance = x.mean((1, 2), keepdims=True), x.var((1, 2), keepdims=True)
    return (x - mean) / np.sqrt(variance + 1e-5) * scale + bias


def time_convolution(t, x, kernel, bias):
    x = np.concatenate([np.full((*x.shape[:3], 1), t), x], -1)
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    taps = [
        padded[:, i : i + SIDE, j : j + SIDE] @ kernel[i, j] for i in range(3) for j in range(3)
    ]
    return np.sum(taps, 0) + bias


def plain_field(t, z, p):
    out = np.maximum(group_norm(z, *p["norm1"]), 0)
    out = np.maximum(group_norm(time_convolution(t, out, *p["conv1"]), *p["norm2"]), 0)
    return group_norm(time_convolution(t, out, *p["conv2"]), *p["norm3"])


@pytest.fixture
def problem(x64):
    """Our field split in two, a start and a slope of the loss.

    Norms shifted by 8 or -8 keep each channel's ReLU open or shut: at a kink a solver would lose
    its order.
    """
    rng = np.random.default_rng(5)
    field = ConvField(WIDTH, kernels=MATMUL, rngs=nnx.Rngs(0), dtype=jnp.float64)
    graph, state = nnx.split(field)
    state = jax.tree.map(lambda leaf: leaf + 0.2 * rng.normal(size=leaf.shape), state)
    for name in ("norm1", "norm2"):
        state[name]["bias"][...] += 8.0 * np.resize([1, 1, 1, -1], WIDTH)
    return graph, state, rng.normal(size=SHAPE), rng.normal(size=SHAPE)


def as_plain(state):
    flat = {tuple(path): np.asarray(value[...]) for path, value in nnx.to_flat_state(state)}
    first = {name: "scale" if name.startswith("norm") else "kernel" for name, _ in flat}
    return {name: (flat[name, leaf], flat[name, "bias"]) for name, leaf in first.items()}


def scipy_solution(z0, state):
    plain = as_plain(state)
    solved = solve_ivp(
        lambda t, z: plain_field(t, z.reshape(SHAPE), plain).ravel(),
        (0.0, 1.0), z0.ravel(), method="DOP853", rtol=1e-12, atol=1e-12,
    )  # fmt: skip
    return solved.y[:, -1].reshape(SHAPE)


def ours(problem, config):
    graph, state, z0, slope = problem
    leaves, tree = jax.tree.flatten(state)

    def loss(leaves, z0):
        z1, stats = odeint(
            lambda t, z, p: nnx.merge(graph, jax.tree.unflatten(tree, p))(t, z), z0, leaves, config
        )  # fmt: skip
        return jnp.sum(z1 * slope), (z1, stats)

    (_, (z1, stats)), gradients = jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True))(
        leaves, jnp.asarray(z0)
    )
    stats.check()
    return z1, (jax.tree.unflatten(tree, gradients[0]), gradients[1])


def test_the_field_is_the_formula(problem):
    graph, state, z0, _ = problem
    found = nnx.merge(graph, state)(jnp.asarray(0.3), jnp.asarray(z0))
    np.testing.assert_allclose(found, plain_field(0.3, z0, as_plain(state)), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("stepping", ["diffrax", "torchdiffeq"])
@pytest.mark.parametrize(
    ("solver", "tolerance"), [("bosh3", 1e-7), ("dopri5", 1e-9), ("dopri8", 1e-9)]
)
def test_solves_reach_scipys_answer(problem, solver, tolerance, stepping):
    config = SolveConfig(
        solver=solver, rtol=tolerance, atol=tolerance, stepping=stepping, max_steps=4096
    )
    graph, state, z0, _ = problem
    found, stats = odeint(lambda t, z, p: nnx.merge(graph, p)(t, z), jnp.asarray(z0), state, config)
    stats.check()
    # The controller watches local errors, and torchdiffeq's stepping interpolates, which none
    # watches: bosh3 is 70 off.
    np.testing.assert_allclose(found, scipy_solution(z0, state), rtol=0, atol=100 * tolerance)


@pytest.mark.parametrize("mode", tuple(GRADIENT_FACTS))
def test_gradients_are_those_of_finite_differences(problem, mode):
    """Along one direction through the state and every parameter; the solver of the differences is
    SciPy's.
    """
    _, state, z0, slope = problem
    _, (to_state, to_z0) = ours(
        problem, SolveConfig(rtol=1e-9, atol=1e-9, gradient=mode, max_steps=512)
    )
    rng = np.random.default_rng(6)
    ahead = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape), state)
    z_ahead, h = rng.normal(size=SHAPE), 1e-6

    def loss(sign):
        moved = jax.tree.map(lambda leaf, move: leaf + sign * h * move, state, ahead)
        return np.sum(scipy_solution(z0 + sign * h * z_ahead, moved) * slope)

    expected = (loss(1) - loss(-1)) / (2 * h)
    parts = jax.tree.map(lambda gradient, move: jnp.sum(gradient * move), to_state, ahead)
    found = sum(jax.tree.leaves(parts)) + jnp.sum(to_z0 * z_ahead)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
