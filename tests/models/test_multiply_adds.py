"""Multiply-adds as XLA counts them, against those by hand."""

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from jaxode import SolveConfig
from jaxode.models import MultiplyAdds, multiply_adds
from jaxode.nn import Conv, ODEBlock
from jaxode.nn.kernels import choose_kernels

PLAIN = choose_kernels(requested="plain")


class Net(nnx.Module):
    """A convolution, and ODEs of another each, whose loops take several steps."""

    def __init__(self, rngs, blocks=2):
        self.conv = Conv(3, 4, 1, kernels=PLAIN, rngs=rngs, bias=False)
        fields = [Field(rngs, size) for size in (1, 3)[:blocks]]
        self.blocks = nnx.List([ODEBlock(field, SolveConfig(rtol=1e-6)) for field in fields])

    def __call__(self, x):
        z = self.conv(x)
        for block in self.blocks:
            z, _ = block(z)
        return z


class Field(nnx.Module):
    def __init__(self, rngs, size):
        options = {"padding": size // 2, "bias": False, "kernels": PLAIN}
        self.conv = Conv(4, 4, size, rngs=rngs, **options)

    def __call__(self, t, z):
        return self.conv(z)


def test_a_field_is_counted_once_and_apart():
    images = jax.ShapeDtypeStruct((2, 6, 5, 3), jnp.float32)
    model = nnx.eval_shape(lambda: Net(nnx.Rngs(0)))
    found = multiply_adds(model, images)
    inside = (6 * 3 - 2) * (5 * 3 - 2)  # of 3x3 windows, the products that are not with the padding
    assert found.evaluation == (2 * 6 * 5 * 4 * 4, 2 * inside * 4 * 4)
    assert found.outside == pytest.approx(2 * 6 * 5 * 3 * 4, rel=0.5)  # and Euler's sums
    assert isinstance(model.blocks[0].field, Field)
    alone = multiply_adds(nnx.eval_shape(lambda: Net(nnx.Rngs(0), blocks=0)), images)
    assert alone == MultiplyAdds(2 * 6 * 5 * 3 * 4)


def test_a_total_needs_evaluations_of_every_field():
    counts = MultiplyAdds(10, (3, 5))
    assert counts.total([2, 1.5]) == 10 + 6 + 8
    with pytest.raises(ValueError, match="shorter"):
        counts.total([2])
