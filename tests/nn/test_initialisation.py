"""Initial distributions: those of torchvision's models."""

from __future__ import annotations

import jax.numpy as jnp
import pytest
from flax import nnx

from jaxode.nn.initialisation import fan_out_normal, small_normal, zeros
from jaxode.nn.layers import Conv, Linear


def test_kernels_have_the_deviations_of_torchvision_and_biases_are_zero():
    conv = Conv(16, 32, 3, initial=(fan_out_normal, zeros), rngs=nnx.Rngs(0))
    linear = Linear(64, 72, initial=(small_normal, zeros), rngs=nnx.Rngs(1))
    for layer, std in ((conv, (2 / (9 * 32)) ** 0.5), (linear, 0.01)):
        kernel = layer.kernel[...]
        assert float(jnp.std(kernel)) == pytest.approx(std, rel=0.05)
        assert float(jnp.mean(kernel)) == pytest.approx(0, abs=0.05 * std)
        assert layer.bias is not None
        assert not layer.bias[...].any()
