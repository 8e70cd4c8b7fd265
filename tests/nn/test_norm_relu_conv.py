"""The layer of own fields computes what its parts do, with every kind of kernel."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxode.checks import ConfigError
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
@pytest.mark.parametrize(("layers", "norm"), [(1, False), (2, True), (3, True)])
def test_it_is_norm_relu_and_convolution(kernels, per_sample, layers, norm):
    layer = NormReluConv(8, layers, norm=norm, kernels=kernels, rngs=nnx.Rngs(0))
    rng = np.random.default_rng(0)
    z, slope = rng.normal(size=(2, 3, 4, 5, 8)).astype(np.float32)
    t = np.float32([0.1, 0.5, 0.9]).reshape(3, 1, 1, 1) if per_sample else np.float32(0.3)
    graph, state = nnx.split(layer)

    def fused(state, t, z):
        return jnp.sum(nnx.merge(graph, state)(t, z) * slope)

    def parts(state, t, z):
        module = nnx.merge(graph, state)
        for each, conv in zip(module.norms, module.convs, strict=False):
            z = conv(t, jax.nn.relu(each(z)))
        return jnp.sum((module.norms[layers](z) if norm else z) * slope)

    found, expected = (
        jax.jit(jax.value_and_grad(f, (0, 1, 2)))(state, t, z) for f in (fused, parts)
    )
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4)


@pytest.mark.skipif(not native.load(), reason=str(native.unavailable_reason()))
def test_an_own_field_has_the_fused_kernels_of_the_built_in_one():
    """Where they are quickest, both fields are native calls, and neither is XLA's convolution."""
    z = jnp.ones((2, 4, 4, 8))
    own = NormReluConv(8, layers=2, norm=True, kernels=NATIVE, rngs=nnx.Rngs(0))
    for layer in (ConvField(8, kernels=NATIVE, rngs=nnx.Rngs(0)), own):
        text = jax.jit(lambda z, layer=layer: layer(0.5, z)).lower(z).as_text()
        assert text.count(f"@{PREFIX}chain") == 1
        assert "stablehlo.convolution" not in text
        assert "stablehlo.dot_general" not in text


def test_it_has_a_layer_or_more():
    with pytest.raises(ConfigError, match=r"layers must be a whole number from 1 to .*, got 0"):
        NormReluConv(8, 0, rngs=nnx.Rngs(0))
