"""Batch norm against PyTorch's."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxode.nn.batchnorm import BatchNorm, torch_batch_norm
from jaxode.types import Training


def training(weights):
    return Training(jax.random.split(jax.random.key(1), len(weights)), jnp.asarray(weights))


@pytest.mark.parametrize("shape", [(5, 6, 4, 3), (5, 3)], ids=["maps", "units"])
def test_batch_norm_is_pytorchs_without_the_padding(shape, x64):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    weights = np.array([1, 0, 1, 1, 0])
    real = weights > 0
    x = rng.normal((0, -3, 1e4), 1, shape)  # a mean that E(x²) - E(x)² would not survive
    slope = rng.normal(size=shape) * real.reshape(-1, *[1] * (len(shape) - 1))
    layer = BatchNorm(3, dtype=jnp.float64)
    layer.scale[...], layer.bias[...] = jnp.array([0.5, 2, -1]), jnp.array([1.0, 0, 3])
    graph, params, stats = nnx.split(layer, nnx.Param, nnx.BatchStat)

    def loss(params, x):
        layer = nnx.merge(graph, params, stats, copy=True)
        y = layer(x, training(weights))
        return jnp.sum(y * slope), (y, nnx.state(layer, nnx.BatchStat))

    (to_params, to_x), (y, after) = jax.jit(jax.grad(loss, argnums=(0, 1), has_aux=True))(params, x)
    y, to_x = np.asarray(y), np.asarray(to_x)

    theirs = torch.nn.BatchNorm1d(3, eps=1e-3, momentum=0.01).double()
    with torch.no_grad():
        theirs.weight.copy_(torch.tensor([0.5, 2, -1]))
        theirs.bias.copy_(torch.tensor([1.0, 0, 3]))
    rows = torch.from_numpy(x[real].reshape(-1, 3)).requires_grad_()
    their_y = theirs(rows)
    (their_y * torch.from_numpy(slope[real].reshape(-1, 3))).sum().backward()

    def same(ours, expected):
        np.testing.assert_allclose(
            np.asarray(ours).reshape(-1, 3),
            np.asarray(expected).reshape(-1, 3),
            rtol=1e-9,
            atol=1e-9,
        )

    same(y[real], their_y.detach())
    same(to_x[real], rows.grad)
    assert not np.any(to_x[~real])
    same(to_params.scale[...], theirs.weight.grad)
    same(to_params.bias[...], theirs.bias.grad)
    count = len(rows)  # PyTorch's running variance is unbiased
    same(after.mean[...], theirs.running_mean)
    same((after.variance[...] - 0.99) * count / (count - 1), theirs.running_var - 0.99)

    theirs.eval()
    with torch.no_grad():
        theirs.running_var.copy_(torch.from_numpy(np.array(after.variance[...])))
        expected = theirs(torch.from_numpy(x.reshape(-1, 3)))
    same(jax.jit(nnx.merge(graph, params, after))(x), expected)


def test_a_batch_of_padding_is_finite_and_leaves_the_running_statistics():
    layer = BatchNorm(3, dtype=jnp.float32)
    layer.mean[...] = jnp.array([1.0, 2, 3])
    graph, params, stats = nnx.split(layer, nnx.Param, nnx.BatchStat)

    def loss(params, x):
        layer = nnx.merge(graph, params, stats, copy=True)
        y = layer(x, training([0.0, 0]))
        return jnp.sum(y**2), (y, nnx.state(layer, nnx.BatchStat))

    x = jax.random.normal(jax.random.key(0), (2, 4, 4, 3))
    gradients, (y, after) = jax.jit(jax.grad(loss, argnums=(0, 1), has_aux=True))(params, x)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((gradients, y)))
    jax.tree.map(np.testing.assert_array_equal, after, stats)


def test_running_statistics_are_pytorchs_after_three_batches(x64):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    theirs, ours = torch.nn.BatchNorm2d(3).double(), torch_batch_norm(3, jnp.float64)
    step = nnx.jit(lambda layer, x: layer(x, training([1, 1, 1, 0])))  # the last is padding
    for _ in range(3):
        x = rng.normal(rng.normal(size=3), 2, (4, 3, 2, 3))
        theirs(torch.from_numpy(x[:3].transpose(0, 3, 1, 2)))
        step(ours, x)
    np.testing.assert_allclose(ours.mean[...], theirs.running_mean, rtol=1e-14)
    np.testing.assert_allclose(ours.variance[...], theirs.running_var, rtol=1e-14)
