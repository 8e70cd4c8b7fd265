"""Training steps of every gradient mode can be lowered for a GPU and a TPU, on any machine."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from jaxode.config import GRADIENT_FACTS, ModelConfig, SolveConfig
from jaxode.models import create_model
from jaxode.nn.kernels import LIBRARY


@functools.cache
def traced(gradient):
    """The gradient of a loss, traced for any platform."""
    model = create_model(
        ModelConfig(width=8),
        SolveConfig(gradient=gradient),
        image_shape=(28, 28, 1),
        classes=10,
        rngs=nnx.Rngs(0),
        kernels=LIBRARY,
    )
    graphdef, params = nnx.split(model)

    def loss(params, images):
        logits, _ = nnx.merge(graphdef, params, copy=True)(images)
        return jnp.mean(jax.nn.logsumexp(logits, 1))

    images = jax.ShapeDtypeStruct((4, 28, 28, 1), jnp.float32)
    return jax.jit(jax.grad(loss)).trace(params, images)


@pytest.mark.parametrize("gradient", GRADIENT_FACTS)
@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_a_training_step_is_lowered(platform, gradient):
    text = traced(gradient).lower(lowering_platforms=(platform,)).as_text()
    assert "stablehlo.convolution" in text
    assert "stablehlo.while" in text
    assert "jaxode_native" not in text
