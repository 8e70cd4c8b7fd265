"""Flows of images against torchdiffeq, in float64: fields, log-densities, gradients and counts."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

torch = pytest.importorskip("torch")
pytest.importorskip("torchdiffeq")

from jaxode import SolveConfig  # noqa: E402
from jaxode.models import ImageFlow  # noqa: E402
from jaxode.models.pixels import squeeze, unsqueeze  # noqa: E402
from jaxode.nn import ImageField  # noqa: E402
from torch_ref import image_flow  # noqa: E402

OUTPUT, EXACT, ADJOINT = 1e-11, 1e-10, 1e-9

RNG = np.random.default_rng(0)


def error(a, b):
    return np.linalg.norm(np.asarray(a) - b) / np.linalg.norm(b)


def parameters(mine, theirs):
    """Pairs of an nnx parameter and torch's of the same numbers, with torch's as ours has it."""
    for one, other in zip(mine.layers, theirs.layers, strict=True):
        axes = (2, 3, 0, 1) if one.stride < 0 else (2, 3, 1, 0)
        yield one.kernel, other.conv.weight, lambda array, axes=axes: array.transpose(axes)
        yield one.bias, other.conv.bias, np.asarray
        if hasattr(other, "gate"):
            yield one.gate, other.gate.weight, lambda array: array[:, 0]
            yield one.gate_bias, other.gate.bias, np.asarray
            yield one.time_bias, other.time_bias.weight, lambda array: array[:, 0]


def copied(mine, theirs):
    for one, other, turned in parameters(mine, theirs):
        one[...] = jax.device_put(turned(other.detach().numpy()))


def first(array):
    """Channels-last images as PyTorch has them."""
    return torch.tensor(np.moveaxis(array, -1, 1))


def test_a_squeeze_puts_the_squares_of_a_channel_together_as_torchs():
    x = RNG.normal(size=(2, 4, 6, 3))
    squeezed = squeeze(jnp.asarray(x))
    expected = image_flow.squeeze(first(np.asarray(x, np.float32))).numpy()
    np.testing.assert_array_equal(squeezed, np.moveaxis(expected, 1, -1))
    np.testing.assert_array_equal(unsqueeze(squeezed), x.astype(np.float32))


@pytest.mark.parametrize(
    ("layer", "hidden", "strides"),
    [("concat", (3, 5, 3), (2, 1, 1, -2)), ("concatsquash", (3, 2), (2, -2, 1))],
)
def test_fields_are_torchs(layer, hidden, strides, x64):
    torch.manual_seed(0)
    theirs = image_flow.ImageField((2, 6, 4), hidden, strides, layer).double()

    @nnx.jit
    def drawn():
        return ImageField((6, 4, 2), hidden, strides, layer, rngs=nnx.Rngs(0), dtype=jnp.float64)

    mine = drawn()
    for one, other, turned in parameters(mine, theirs):
        assert one.shape == turned(other.detach().numpy()).shape
        if one.ndim == 4:  # many numbers of the same uniform distribution
            bound = float(other.detach().abs().max())
            assert np.abs(np.asarray(one[...])).max() == pytest.approx(bound, rel=0.1)
    copied(mine, theirs)
    z = RNG.normal(size=(3, 6, 4, 2))
    expected = theirs(torch.tensor(0.3, dtype=torch.float64), first(z).flatten(1)).reshape(
        3, 2, 6, 4
    )
    expected = np.moveaxis(expected.detach().numpy(), 1, -1).reshape(3, -1)
    for t in (np.array(0.3), np.full((3, 1), 0.3)):  # the second as per-sample steps have it
        assert error(jax.jit(mine)(t, z.reshape(3, -1)), expected) <= OUTPUT


@pytest.mark.parametrize(
    ("layer", "scales", "gradient", "noise"),
    [
        pytest.param("concat", 2, "tape", "rademacher", marks=pytest.mark.slow),
        pytest.param("concatsquash", 1, "tape", "gaussian", marks=pytest.mark.slow),
        pytest.param("concatsquash", 1, "backsolve", "rademacher", marks=pytest.mark.slow),
        pytest.param("concat", 2, "replay", None, marks=pytest.mark.slow),
    ],
)
def test_log_densities_gradients_and_counts(layer, scales, gradient, noise, x64):
    torch.manual_seed(0)
    hidden, strides = ((3,), (1, 1)) if scales > 1 else ((3, 3), (2, 1, -2))
    other = image_flow.ImageFlow(
        (1, 4, 4), lambda shape: image_flow.ImageField(shape, hidden, strides, layer).double(),
        scales=scales, alpha=1e-2, adjoint=gradient == "backsolve",
    )  # fmt: skip
    rngs = nnx.Rngs(0)
    flow = ImageFlow(
        (4, 4, 1),
        lambda shape: ImageField(shape, hidden, strides, layer, rngs=rngs, dtype=jnp.float64),
        SolveConfig("dopri5", rtol=1e-5, atol=1e-5, gradient=gradient, stepping="torchdiffeq"),
        scales=scales, alpha=1e-2,
    )  # fmt: skip
    for one, two in zip(flow.flows, other.slopes, strict=True):
        copied(one.field, two.field)
    x = np.random.default_rng(1).uniform(size=(3, 4, 4, 1))
    draws, given = [None] * len(flow.flows), [None] * len(flow.flows)
    if noise is not None:
        keys = jax.random.split(jax.random.key(0), 3)
        flow.noise = noise
        draws = flow.draw_noises(keys)
        shapes = [one.field.shape for one in flow.flows]
        given = [
            first(np.asarray(draw).reshape(3, *shape)).flatten(1)
            for draw, shape in zip(draws, shapes, strict=True)
        ]
    theirs = other.log_prob(first(x), given)
    forward = other.nfe
    (-theirs.mean()).backward()
    graph, params = nnx.split(flow, nnx.Param)

    def loss(params):
        log_p, stats = nnx.merge(graph, params).log_prob(jnp.asarray(x), draws)
        return -log_p.mean(), (log_p, stats)

    gradients, (log_p, stats) = jax.jit(jax.grad(loss, has_aux=True))(params)
    assert error(log_p, theirs.detach().numpy()) <= OUTPUT
    assert stats.nfe.tolist() == forward
    bound = ADJOINT if gradient == "backsolve" else EXACT
    mine = nnx.merge(graph, gradients)
    for one, two in zip(mine.flows, other.slopes, strict=True):
        for parameter, expected, turned in parameters(one.field, two.field):
            assert error(parameter[...], turned(expected.grad.numpy())) <= bound
