"""Every kernel against the plain formula in float64: values, gradients, forward mode."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxode.nn import convolution
from jaxode.nn.kernels import ANY_MODE, LIBRARY, MATMUL, choose_kernels
from jaxode.nn.normalization import group_norm, group_norm_any_mode

SHAPES = [  # image side, channels in, channels out, kernel side, stride, padding
    (28, 1, 8, 3, 1, 0),
    (10, 3, 8, 3, 1, 0),
    (6, 8, 8, 3, 1, 1),
    (6, 1, 8, 3, 1, 1),
    (26, 8, 8, 4, 2, 1),
    (13, 8, 8, 4, 2, 1),
    (13, 8, 4, 3, 2, 1),
    (12, 5, 7, 5, 3, 2),
    (7, 4, 6, 1, 1, 0),
    (6, 8, 4, 3, 1, 1),
]


def _draw(seed: int, *shapes: tuple[int, ...]) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape) for shape in shapes]


def _value_and_pull(function, inputs, seed=1):
    """The value, and what a drawn cotangent pulls back, in one program."""
    (slope,) = _draw(seed, jax.eval_shape(function, *inputs).shape)

    @jax.jit
    def both(inputs, slope):
        value, pull = jax.vjp(function, *inputs)
        return value, pull(slope)

    return both(inputs, slope)


@pytest.mark.parametrize("method", [convolution.matmul, convolution.matmul_any_mode])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_matmul_convolution_is_convolution(shape, method, x64):
    side, inner, outer, size, stride, padding = shape
    inputs = _draw(0, (2, side, side, inner), (size, size, inner, outer))
    (got, own), (expected, pulled) = (
        _value_and_pull(lambda *a, f=f: f(*a, stride, padding), inputs)
        for f in (method, convolution.library)
    )
    np.testing.assert_allclose(got, expected, atol=1e-12)
    for ours, theirs in zip(own, pulled, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-11)


def test_forward_mode_of_the_any_mode_convolution(x64):
    x, kernel, dx, dk = _draw(0, (2, 13, 13, 3), (4, 4, 3, 5), (2, 13, 13, 3), (4, 4, 3, 5))
    pairs = [
        jax.jit(lambda *a, f=f: jax.jvp(lambda *a: f(*a, 2, 1), a[:2], a[2:])[1])(x, kernel, dx, dk)
        for f in (ANY_MODE.convolution, LIBRARY.convolution)
    ]
    np.testing.assert_allclose(*pairs, atol=1e-12)


def _plain_group_norm(x, scale, bias, groups, eps):
    split = x.reshape(x.shape[0], -1, groups, x.shape[-1] // groups)
    mean = split.mean((1, 3), keepdims=True)
    variance = split.var((1, 3), keepdims=True)
    return ((split - mean) / jnp.sqrt(variance + eps)).reshape(x.shape) * scale + bias


@pytest.mark.parametrize("method", [group_norm, group_norm_any_mode])
@pytest.mark.parametrize(("channels", "groups"), [(64, 32), (8, 8), (12, 4), (6, 1)])
def test_group_norm_is_the_formula(channels, groups, method, x64):
    x, scale, bias = _draw(0, (3, 5, 4, channels), (channels,), (channels,))
    x = 3 * x + 7  # far from centred: a one-pass variance would show
    (got, own), (expected, pulled) = (
        _value_and_pull(lambda *a, f=f: f(*a, groups, 1e-5), (x, scale, bias))
        for f in (method, _plain_group_norm)
    )
    np.testing.assert_allclose(got, expected, atol=1e-11)
    for ours, theirs in zip(own, pulled, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-11)


def test_variance_is_two_pass_in_float32():
    """A mean a thousand times the deviation costs a one-pass variance all its digits."""
    x = 1000 + jax.random.normal(jax.random.key(0), (2, 6, 6, 32))
    out = group_norm(x, jnp.ones(32), jnp.zeros(32), 16, 1e-5)
    np.testing.assert_allclose(out.reshape(2, 36, 16, 2).var((1, 3)), 1.0, atol=1e-3)


def test_images_do_not_see_each_other():
    x = jax.random.normal(jax.random.key(0), (4, 6, 6, 8))
    one, many = (group_norm(v, jnp.ones(8), jnp.zeros(8), 4, 1e-5) for v in (x[:1], x))
    np.testing.assert_array_equal(one[0], many[0])


def test_the_choice_of_kernels(monkeypatch):
    """Native ones are chosen in `test_native`."""
    monkeypatch.delenv("JAXODE_KERNELS", raising=False)
    monkeypatch.setattr("jaxode.nn.kernels.native.load", lambda: False)
    assert choose_kernels(forward_mode=True) is ANY_MODE
    assert choose_kernels() is (MATMUL if jax.default_backend() == "cpu" else LIBRARY)
