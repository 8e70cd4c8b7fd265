"""Max pooling against PyTorch's, where numbers are equal too."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxode.nn.pooling import adaptive_average_pool, max_pool, overlapping_max_pool


def test_pooling_is_pytorchs_where_numbers_are_equal_and_where_a_row_is_left_over():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    x = rng.integers(0, 3, (2, 7, 6, 3)).astype(np.float32)
    slope = rng.normal(size=(2, 3, 3, 3)).astype(np.float32)
    y, pullback = jax.vjp(max_pool, jnp.asarray(x))
    theirs = torch.from_numpy(x).permute(0, 3, 1, 2).requires_grad_()
    their_y = torch.nn.functional.max_pool2d(theirs, 2)
    their_y.backward(torch.from_numpy(slope).permute(0, 3, 1, 2))
    np.testing.assert_array_equal(y, their_y.detach().permute(0, 2, 3, 1))
    np.testing.assert_array_equal(pullback(jnp.asarray(slope))[0], theirs.grad.permute(0, 2, 3, 1))


@pytest.mark.parametrize("place", range(4))
def test_pooling_hides_no_nan(place):
    x = jnp.zeros(4).at[place].set(jnp.nan).reshape(1, 2, 2, 1)
    assert np.isnan(max_pool(x)).all()


@pytest.mark.parametrize("size", [(7, 6), (1, 1)])
def test_overlapping_pooling_is_pytorchs_where_numbers_are_equal(size):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    x = rng.integers(0, 3, (2, *size, 3)).astype(np.float32)
    slope = rng.normal(size=(2, -(-size[0] // 2), -(-size[1] // 2), 3)).astype(np.float32)

    @jax.jit
    def both(x):
        y, pullback = jax.vjp(overlapping_max_pool, x)
        return y, pullback(jnp.asarray(slope))[0]

    y, found = both(x)
    theirs = torch.from_numpy(x).permute(0, 3, 1, 2).requires_grad_()
    their_y = torch.nn.functional.max_pool2d(theirs, 3, 2, 1)
    their_y.backward(torch.from_numpy(slope).permute(0, 3, 1, 2))
    np.testing.assert_array_equal(y, their_y.detach().permute(0, 2, 3, 1))
    np.testing.assert_allclose(found, theirs.grad.permute(0, 2, 3, 1), rtol=1e-6)


@pytest.mark.parametrize("size", [(7, 7), (2, 3), (20, 9)])
def test_adaptive_average_pooling_is_pytorchs(size, x64):
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(0).normal(size=(2, *size, 3))
    wanted = torch.nn.AdaptiveAvgPool2d(7)(torch.from_numpy(x).permute(0, 3, 1, 2))
    found = adaptive_average_pool(jnp.asarray(x), 7)
    np.testing.assert_allclose(found, wanted.permute(0, 2, 3, 1), atol=1e-14)
