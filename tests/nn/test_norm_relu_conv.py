"""The layer of own fields computes what its parts do, with every kind of kernel."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxode.nn import ConvField, NormReluConv, native
from jaxode.nn.kernels import LIBRARY, MATMUL, NATIVE
from jaxode.nn.native.loading import PREFIX

KINDS = [
    pytest.param(LIBRARY, id="plain"),
    pytest.param(MATMUL, id="matmul"),
    pytest.param(
        NATIVE,
        id="native",
        marks=pytest.mark.skipif(not native.load(), reason=str(native.unavailable_reason())),
    ),
]


@pytest.mark.parametrize("kernels", KINDS)
@pytest.mark.parametrize("per_sample", [False, True])
def test_it_is_norm_relu_and_convolution(kernels, per_sample):
    layer = NormReluConv(8, kernels=kernels, rngs=nnx.Rngs(0))
    rng = np.random.default_rng(0)
    z = jnp.asarray(rng.normal(size=(3, 4, 5, 8)), jnp.float32)
    slope = jnp.asarray(rng.normal(size=z.shape), jnp.float32)
    t = jnp.asarray([0.1, 0.5, 0.9]).reshape(3, 1, 1, 1) if per_sample else jnp.float32(0.3)
    graph, state = nnx.split(layer)

    def fused(state, t, z):
        return jnp.sum(nnx.merge(graph, state)(t, z) * slope)

    def parts(state, t, z):
        module = nnx.merge(graph, state)
        return jnp.sum(module.conv(t, jax.nn.relu(module.norm(z))) * slope)

    found, expected = (jax.value_and_grad(f, (0, 1, 2))(state, t, z) for f in (fused, parts))
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4)


@pytest.mark.skipif(not native.load(), reason=str(native.unavailable_reason()))
def test_an_own_field_has_the_fused_kernels_of_the_built_in_one():
    """Where they are quickest, both fields are native calls, and neither is XLA's convolution."""
    z = jnp.ones((2, 4, 4, 8))
    for module in (ConvField, NormReluConv):
        layer = module(8, kernels=NATIVE, rngs=nnx.Rngs(0))
        text = jax.jit(lambda z, layer=layer: layer(0.5, z)).lower(z).as_text()
        assert f"@{PREFIX}chain" in text
        assert "stablehlo.convolution" not in text
        assert "stablehlo.dot_general" not in text
