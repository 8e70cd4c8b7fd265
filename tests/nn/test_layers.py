"""Layers against PyTorch's own (where it is installed), and the properties that hold without it."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxode.nn.fields import ConvField
from jaxode.nn.kernels import LIBRARY, MATMUL
from jaxode.nn.layers import Conv, GroupNorm, Linear, TimeConv

pytestmark = pytest.mark.typed


@pytest.fixture
def rngs():
    return nnx.Rngs(0)


@pytest.mark.parametrize(("channels", "groups"), [(64, 32), (8, 8), (69, 23), (67, 1)])
def test_group_norm_is_pytorchs_also_where_eps_counts(channels, groups, x64):
    torch = pytest.importorskip("torch")
    layer = GroupNorm(channels, kernels=MATMUL, dtype=jnp.float64)
    x = 1e-3 * jax.random.normal(jax.random.key(1), (2, 6, 6, channels), "float64")
    theirs = torch.nn.GroupNorm(groups, channels).double()
    expected = theirs(torch.from_numpy(np.array(x)).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    np.testing.assert_allclose(layer(x), expected.detach(), atol=1e-13)


@pytest.mark.parametrize("kernels", [MATMUL, LIBRARY], ids=["matmul", "library"])
def test_time_stands_first_and_fills_a_plane(kernels, rngs, x64):
    layer = TimeConv(8, kernels=kernels, rngs=rngs, dtype=jnp.float64)
    z, t = jax.random.normal(jax.random.key(1), (2, 6, 6, 8), "float64"), jnp.asarray(0.7)
    joined = jnp.concatenate([jnp.full((2, 6, 6, 1), t), z], -1)
    expected = LIBRARY.convolution(joined, layer.kernel[...], 1, 1) + layer.bias[...]
    np.testing.assert_allclose(layer(t, z), expected, atol=1e-13)


def test_gradients_of_the_time_convolution_with_respect_to_time(rngs, x64):
    """The factored plane is linear in t; a finite difference over t must see the same slope."""
    layer = TimeConv(4, kernels=MATMUL, rngs=rngs, dtype=jnp.float64)
    z = jax.random.normal(jax.random.key(1), (1, 5, 5, 4), "float64")
    slope = jax.grad(lambda t: jnp.sum(layer(t, z) ** 2))(0.3)
    step = 1e-6
    difference = (jnp.sum(layer(0.3 + step, z) ** 2) - jnp.sum(layer(0.3 - step, z) ** 2)) / (
        2 * step
    )
    np.testing.assert_allclose(slope, difference, rtol=1e-7)


def test_the_field_depends_on_time_and_keeps_the_shape(rngs):
    field = ConvField(8, kernels=MATMUL, rngs=rngs, dtype=jnp.float32)
    z = jax.random.normal(jax.random.key(1), (2, 6, 6, 8))
    early, late = field(jnp.float32(0), z), field(jnp.float32(1), z)
    assert early.shape == z.shape
    assert float(jnp.abs(early - late).max()) > 1e-3


@pytest.mark.parametrize(
    ("make", "fan_in"),
    [
        (lambda r: Linear(64, 64, rngs=r, dtype=jnp.float32), 64),
        (lambda r: Conv(16, 64, 3, kernels=MATMUL, rngs=r, dtype=jnp.float32), 144),
        (lambda r: TimeConv(32, kernels=MATMUL, rngs=r, dtype=jnp.float32), 297),
    ],
    ids=["linear", "conv", "timeconv"],
)
def test_initial_weights_are_uniform_within_one_over_root_fan_in(make, fan_in, rngs):
    weights = np.asarray(make(rngs).kernel[...]).ravel() * np.sqrt(fan_in)
    assert 0.97 < np.abs(weights).max() <= 1
    levels = np.linspace(-1, 1, 21)
    empirical = np.searchsorted(np.sort(weights), levels) / weights.size
    bound = 1.95 / np.sqrt(weights.size)  # Kolmogorov's, probability 0.001
    assert np.abs(empirical - (levels + 1) / 2).max() < bound


def test_initial_weights_are_distributed_as_pytorchs(rngs):
    torch = pytest.importorskip("torch")
    stats = pytest.importorskip("scipy.stats")
    torch.manual_seed(0)
    theirs = torch.nn.Conv2d(16, 64, 3).weight.detach().numpy().ravel()
    ours = np.asarray(
        Conv(16, 64, 3, kernels=MATMUL, rngs=rngs, dtype=jnp.float32).kernel[...]
    ).ravel()
    assert stats.ks_2samp(ours, theirs).pvalue > 1e-3
