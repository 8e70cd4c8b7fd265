"""The downsampling segment by chunks against its layers one after another: values, all gradients,
precision, memory.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxode.nn.downsampling import CHUNK
from jaxode.nn.kernels import LIBRARY, MATMUL
from jaxode.nn.stems import Downsample


def _segment(kernels, channels, width, dtype=jnp.float64):
    """The segment as a function of its parameters and images; no parameter keeps its first value,
    one or zero.
    """
    graph, params = nnx.split(
        Downsample(channels, width, kernels=kernels, rngs=nnx.Rngs(0), dtype=dtype)
    )
    leaves, tree = jax.tree.flatten(params)
    rng = np.random.default_rng(0)
    leaves = [leaf + jnp.asarray(0.3 * rng.normal(size=leaf.shape), dtype) for leaf in leaves]
    return jax.jit(lambda p, x: nnx.merge(graph, p)(x)), jax.tree.unflatten(tree, leaves)


SHAPES = [  # batch, height, width, channels, width of the model
    (CHUNK + 3, 28, 28, 1, 8),
    (2 * CHUNK, 13, 12, 3, 64),
    (3, 6, 7, 2, 4),
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_chunks_change_nothing(shape, x64):
    batch, height, width, channels, model = shape
    rng = np.random.default_rng(1)
    x = jnp.asarray(2 + rng.normal(size=(batch, height, width, channels)))
    plain, params = _segment(LIBRARY, channels, model)
    quick, _ = _segment(MATMUL, channels, model)
    expected, pull = jax.vjp(plain, params, x)
    got, own_pull = jax.vjp(quick, params, x)
    np.testing.assert_allclose(got, expected, atol=1e-12)
    slope = jnp.asarray(rng.normal(size=expected.shape))
    theirs = jax.tree.leaves(pull(slope))
    for ours, reference in zip(jax.tree.leaves(own_pull(slope)), theirs, strict=True):
        np.testing.assert_allclose(ours, reference, rtol=1e-11, atol=1e-11)


def test_bright_images_lose_no_more_digits_than_layer_by_layer():
    """A covariance of patches that are not centred would."""
    x = 300 + np.random.default_rng(1).normal(size=(2, 28, 28, 1))
    with jax.enable_x64(True):
        segment, params = _segment(LIBRARY, 1, 8)
        exact = np.asarray(segment(params, jnp.asarray(x)))
        params = jax.tree.map(np.asarray, params)
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), params)
    errors = [
        np.abs(_segment(k, 1, 8, jnp.float32)[0](params, jnp.float32(x)) - exact).max()
        for k in (MATMUL, LIBRARY)
    ]
    assert errors[0] < 2 * errors[1]


def test_the_widest_maps_are_not_kept():
    x = jnp.ones((16, 28, 28, 1))
    sizes = []
    for kernels in (MATMUL, LIBRARY):
        segment, params = _segment(kernels, 1, 64, jnp.float32)
        sizes.append(max(leaf.size for leaf in jax.tree.leaves(jax.vjp(segment, params, x)[1])))
    assert sizes[0] == 16 * 13 * 13 * 64
    assert sizes[1] == 16 * 26 * 26 * 64
