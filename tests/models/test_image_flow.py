"""Flows of images against what is true of every flow, and their draws."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxode.checks import ConfigError
from jaxode.config import SolveConfig
from jaxode.models import ImageFlow
from jaxode.models.image_flow_config import ImageFlowConfig
from jaxode.models.pixels import dequantised, image_keys, to_bytes
from jaxode.nn import ImageField
from jaxode.types import Training

RNG = np.random.default_rng(0)
PIXELS = jnp.asarray(RNG.integers(0, 256, (3, 4, 4, 1)), jnp.uint8)
X = RNG.uniform(0.05, 0.95, (2, 4, 4, 1))


def flow(solve, scales=2, dtype=jnp.float64, **settings):
    rngs = nnx.Rngs(0)
    made = ImageFlow(
        (4, 4, 1),
        lambda shape: ImageField(shape, (3,), (1, 1), rngs=rngs, dtype=dtype),
        solve, scales=scales, alpha=0.05, **settings,
    )  # fmt: skip
    for each in made.flows:
        inner = each.field.field if settings.get("trained_time") else each.field
        for layer in inner.layers:
            layer.kernel[...] *= 3.0
    return made


@pytest.mark.parametrize(
    ("scales", "settings"),
    [(2, {}), (1, {"blocks": 2, "trained_time": True, "end_time": 0.8})],
)
def test_the_log_density_is_that_of_the_whole_maps_jacobian(scales, settings, x64):
    made = flow(SolveConfig("bosh3", rtol=1e-8, atol=1e-8), scales, **settings)
    log_p, stats = made.log_prob(jnp.asarray(X))
    stats.check()

    def encoded(row):
        return made.encode(row.reshape(1, 4, 4, 1))[0][0]

    rows = jnp.asarray(X.reshape(2, -1))
    z, jacobians = jax.vmap(encoded)(rows), jax.vmap(jax.jacrev(encoded))(rows)
    base = -0.5 * ((z**2).sum(1) + 16 * math.log(2 * math.pi))
    np.testing.assert_allclose(log_p, base + jnp.linalg.slogdet(jacobians)[1], atol=1e-5)
    plain = flow(SolveConfig("euler", step_size=1.0), scales=1)
    assert jnp.abs(log_p - plain.log_prob(jnp.asarray(X))[0]).min() > 0.1


def test_decoding_is_the_inverse_of_encoding(x64):
    made = flow(SolveConfig("bosh3", rtol=1e-7, atol=1e-7))
    z, _ = made.encode(jnp.asarray(X))
    back, stats = made.decode(z)
    assert stats.failure.tolist() == [0, 0, 0]
    np.testing.assert_allclose(back, X, atol=1e-5)


def test_evaluation_draws_from_the_bytes_and_training_from_the_keys():
    made = flow(SolveConfig("euler", step_size=0.5), dtype=jnp.float32)
    evaluate = jax.jit(lambda pixels: made(pixels)[0])
    found = evaluate(PIXELS)
    order = jnp.array([2, 0, 1])
    np.testing.assert_allclose(evaluate(PIXELS[order]), found[order], rtol=1e-6)
    assert len(set(np.asarray(evaluate(PIXELS.at[1].set(PIXELS[0]))).tolist())) == 2
    keys = jax.random.split(jax.random.key(0), 3)
    losses = [
        np.asarray(made(PIXELS, Training(each, jnp.ones(3)))[0]) for each in (keys, keys[::-1])
    ]
    assert (np.abs(losses[0] - losses[1])[[0, 2]] > 1e-3).all()
    assert losses[0][1] == pytest.approx(losses[1][1], rel=1e-6)


def test_the_exact_evaluation_is_the_mean_of_the_estimates(x64):
    made = flow(SolveConfig("heun", step_size=0.5), scales=1)
    exact, _ = made.log_prob(jnp.asarray(X))
    count = 400
    keys = jax.random.split(jax.random.key(0), 2 * count)
    many = jnp.asarray(X).repeat(count, 0)
    estimates = np.asarray(made.log_prob(many, made.draw_noises(keys))[0]).reshape(2, count)
    error = estimates.std(1) / np.sqrt(count)
    assert (error > 0).all()
    assert (np.abs(estimates.mean(1) - exact) < 4 * error).all()


def test_bytes_are_dequantised_and_come_back():
    x = dequantised(PIXELS, image_keys(PIXELS))
    assert (to_bytes(x) == PIXELS).all()
    parts = np.asarray(256 * x - PIXELS)
    assert 0.4 < parts.mean() < 0.6
    assert parts.std() == pytest.approx(12**-0.5, abs=0.05)
    ends = jnp.array([-1.0, 2.0]).reshape(1, 1, 2, 1)
    assert to_bytes(ends).ravel().tolist() == [0, 255]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ImageFlowConfig(28, 28, 1, strides="2,2,1,-2"), "strides must be one more"),
        (lambda: ImageFlowConfig(28, 28, 1, strides="2,2,2,-2,-2"), "halve an even size"),
        (lambda: ImageFlowConfig(28, 28, 1, strides="2,2,1,1,-2"), "lead back to the size"),
        (lambda: ImageFlowConfig(28, 28, 1, strides="-2,2,1,1,1"), "double what was halved"),
        (lambda: ImageFlowConfig(28, 28, 1, strides="2,x"), "whole numbers joined by commas"),
        (
            lambda: ImageFlowConfig(28, 28, 1, hidden="4", strides="1,1", scales=4),
            "scales must be at most 3 for images of 28 x 28, got 4",
        ),
        (lambda: ImageFlowConfig(28, 28, 1, noise="uniform"), "divergence"),
        (lambda: flow(None, noise="uniform"), "noise must be"),
        (lambda: ImageFlowConfig.from_json({"height": 28}), "image_flow.json must have"),
    ],
)
def test_what_cannot_be_is_one_line(make, words):
    with pytest.raises(ConfigError, match=words) as found:
        make()
    assert "\n" not in str(found.value)
