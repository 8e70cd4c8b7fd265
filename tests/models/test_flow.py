"""Continuous normalizing flows against what is true of every density and every flow."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxode.checks import ConfigError
from jaxode.config import SolveConfig
from jaxode.models import ContinuousFlow
from jaxode.nn import (
    ConcatSquashField,
    HyperField,
    draw_noise,
    exact_divergence,
    hutchinson_divergence,
)

TIGHT = SolveConfig("dopri5", rtol=1e-9, atol=1e-9)


def concatsquash(dimensions=2):
    return ConcatSquashField(dimensions, (8, 8), rngs=nnx.Rngs(0), dtype=jnp.float64)


def steep(solve=TIGHT, **settings):
    """A flow whose density differs clearly from its base's."""
    field = concatsquash()
    for layer in field.layers:
        layer.linear.kernel[...] *= 2.0
    return ContinuousFlow(field, 2, solve, **settings)


@pytest.mark.parametrize("kind", ["concatsquash", "hypernetwork"])
def test_the_divergence_is_the_trace_of_the_jacobian(kind, x64):
    field = concatsquash(3)
    if kind == "hypernetwork":
        field = HyperField(3, 8, 8, rngs=nnx.Rngs(0), dtype=jnp.float64)
    z, t = jax.random.normal(jax.random.key(1), (5, 3)), jnp.array(0.7)
    slope, divergence = exact_divergence(lambda z: field(t, z), z)
    jacobians = jax.vmap(jax.jacobian(lambda point: field(t, point[None])[0]))(z)
    np.testing.assert_allclose(divergence, jnp.trace(jacobians, axis1=1, axis2=2), rtol=1e-12)
    np.testing.assert_allclose(slope, field(t, z), rtol=1e-12)
    times = jnp.full((5, 1), 0.7)  # as per-sample step sizes have them
    np.testing.assert_allclose(field(times, z), slope, rtol=1e-12)


@pytest.mark.parametrize("noise", ["gaussian", "rademacher"])
def test_hutchinsons_mean_is_the_divergence(noise, x64):
    field, t, draws = concatsquash(3), jnp.array(0.7), 10_000
    z = jnp.array([[0.3, -0.8, 0.5]])
    exact = jax.jit(lambda z: exact_divergence(lambda z: field(t, z), z)[1][0])(z)

    @jax.jit
    def estimated():
        noises = draw_noise(noise, jax.random.split(jax.random.key(0), draws), 3, z.dtype)
        points = jnp.broadcast_to(z, noises.shape)
        return hutchinson_divergence(lambda z: field(t, z), points, noises)[1]

    estimates = np.asarray(estimated())
    deviation = estimates.std() / np.sqrt(draws)
    assert deviation > 0
    assert abs(estimates.mean() - exact) < 4 * deviation
    assert deviation < 0.05 * abs(exact)


def test_the_log_density_is_that_of_the_whole_maps_jacobian(x64):
    flow = steep(trained_time=True, base_time=0.8)
    x = jax.random.normal(jax.random.key(2), (5, 2))
    log_p, stats = jax.jit(flow.log_prob)(x)
    stats.check()
    x = np.asarray(x)
    shifts = 1e-3 * np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    # Central differences of second and, by halving the shifts, of fourth order; all in one solve.
    shifted = x[None] + np.concatenate([shifts, 0.5 * shifts, np.zeros((1, 2))])[:, None]
    ends = np.asarray(jax.jit(flow.encode)(shifted.reshape(-1, 2))[0]).reshape(9, 5, 2)
    coarse, fine = (
        np.stack([e[0] - e[1], e[2] - e[3]], -1) / h
        for e, h in ((ends[:4], 2e-3), (ends[4:8], 1e-3))
    )
    jacobians = (4 * fine - coarse) / 3
    base_log_prob = jax.jit(flow.base_log_prob)
    expected = base_log_prob(ends[8]) + np.linalg.slogdet(jacobians)[1]
    np.testing.assert_allclose(log_p, expected, atol=1e-6)
    assert np.abs(log_p - base_log_prob(x)).max() > 0.1


@pytest.mark.parametrize("along", [0.0, pytest.param(0.5, marks=pytest.mark.slow)])
def test_the_density_integrates_to_one_and_agrees_with_its_samples(along, x64):
    flow = steep(SolveConfig(rtol=1e-6, atol=1e-6), variance=0.3)
    side = jnp.linspace(-6, 6, 121)
    grid = jnp.stack(jnp.meshgrid(side, side), -1).reshape(-1, 2)
    p = jnp.exp(flow.log_prob(grid, along=along)[0])
    assert p.sum() * (side[1] - side[0]) ** 2 == pytest.approx(1, abs=1e-3)
    mean = (p[:, None] * grid).sum(0) / p.sum()
    x, _ = flow.sample(jax.random.key(0), 4000, along=along)
    assert jnp.abs(x.mean(0) - mean).max() < 5 * x.std() / np.sqrt(4000)


def test_encoding_is_the_inverse_of_decoding(x64):
    flow = steep(trained_time=True, base_time=0.8)
    z = flow.sample_base(jax.random.key(0), 40)
    x, _ = jax.jit(flow.decode)(z)
    assert jnp.abs(x - z).max() > 0.1
    np.testing.assert_allclose(jax.jit(flow.encode)(x)[0], z, atol=1e-7)


@pytest.mark.slow
def test_per_sample_steps_give_the_same_log_densities(x64):
    x = jax.random.normal(jax.random.key(0), (4, 2))
    alone = SolveConfig("bosh3", rtol=1e-7, atol=1e-7, per_sample=True)
    found, stats = steep(alone).log_prob(x)
    assert stats.nfe.shape == (4,)
    np.testing.assert_allclose(found, steep().log_prob(x)[0], atol=1e-5)


@pytest.mark.parametrize(
    "settings",
    [
        {"noise": "uniform"},
        {"variance": 0.0},
        {"base_time": 0.0},
        {"trained_time": True, "data_time": 1.0, "base_time": 2.0},
    ],
)
def test_wrong_settings_are_refused(settings):
    with pytest.raises(ConfigError, match=next(iter(settings))):
        ContinuousFlow(HyperField(2, 4, 4, rngs=nnx.Rngs(0)), 2, **settings)
