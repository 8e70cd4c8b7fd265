"""Training steps of every gradient mode can be lowered for a GPU and a TPU, on any machine."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from jaxode.config import GRADIENT_FACTS, ModelConfig, SolveConfig
from jaxode.models import create_model
from jaxode.nn.kernels import LIBRARY


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
@pytest.mark.parametrize("gradient", GRADIENT_FACTS)
def test_a_training_step_is_lowered(platform, gradient):
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
    traced = jax.jit(jax.grad(loss)).trace(params, images)
    text = traced.lower(lowering_platforms=(platform,)).as_text()
    assert "stablehlo.convolution" in text
    assert "stablehlo.while" in text
    assert "jaxode_native" not in text
