"""Inputs without a gradient: integers, bools and keys, traced or not, in every gradient mode."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxode.config import GRADIENT_FACTS, SolveConfig
from jaxode.ode import odeint
from jaxode.ode.encoded_inputs import encode

Z0 = jnp.array([1.0, -2.0])


def field(t, z, a):
    noise = jax.random.normal(a["key"], z.shape)
    return jnp.where(a["up"], a["rate"], -a["rate"]) * a["times"] * z + noise * a["scale"]


def slope(mode, stepping):
    """(rate, what has no gradient) → derivative of |z(1)|² with respect to the rate."""
    config = SolveConfig("euler", step_size=0.5, gradient=mode, stepping=stepping)

    def of(rate, others):
        args = {"rate": rate, "scale": np.float32(0.5), "name": "a word", **others}
        return jnp.sum(odeint(field, Z0, args, config)[0] ** 2)

    return jax.grad(of)


def others(seed, times, up):
    return {"key": jax.random.key(seed), "times": times, "up": up}


@pytest.mark.parametrize("stepping", ["diffrax", "torchdiffeq"])
@pytest.mark.parametrize("mode", GRADIENT_FACTS)
def test_traced_or_not_the_gradient_is_the_same(mode, stepping):
    of, rate = slope(mode, stepping), jnp.float32(0.3)
    fixed = of(rate, others(1, 2, True))
    traced = jax.jit(of)(rate, others(1, jnp.int32(2), jnp.asarray(True)))
    np.testing.assert_allclose(traced, fixed, rtol=1e-5)
    keys = jax.random.split(jax.random.key(2), 2)
    batch = {"key": keys, "times": jnp.array([1, 3]), "up": jnp.array([True, False])}
    mapped = jax.vmap(of, (None, 0))(rate, batch)
    one = of(rate, {"key": keys[1], "times": 3, "up": False})
    np.testing.assert_allclose(mapped[1], one, rtol=1e-5)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32])
def test_encoding_loses_nothing(dtype):
    args = {
        "bytes": jnp.array([0, 255], jnp.uint8),
        "signed": jnp.array([-(2**31), 2**31 - 1, -1], jnp.int32),
        "small": jnp.array([[-128, 127]], jnp.int8),
        "flag": jnp.array([True, False]),
        "key": jax.random.key(5),
        "word": "kept",
    }

    @jax.jit
    def there_and_back(traced):
        encoded = encode({**traced, "word": args["word"]}, jnp.dtype(dtype))
        assert encoded.others == dict.fromkeys(traced) | {"word": "kept"}
        assert {leaf.dtype for leaf in jax.tree.leaves(encoded.numbers)} == {jnp.dtype(dtype)}
        return encoded.decoded(encoded.numbers)

    arrays = {name: leaf for name, leaf in args.items() if name != "word"}
    found = there_and_back(arrays)
    assert found.pop("word") is None
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        assert (found[name] == array).all(), name


def test_a_traced_end_time_goes_with_a_backsolve():
    config = SolveConfig("euler", step_size=0.25, gradient="backsolve")

    def last(z0, t1, rate):
        return odeint(lambda t, z, a: -a * t * z, z0, rate, config, t1=t1)[0].sum()

    slope_of = jax.grad(last, argnums=(0, 1, 2))
    given = jnp.ones(2), jnp.float32(1), jnp.float32(0.3)
    for compiled, plain in zip(jax.jit(slope_of)(*given), slope_of(*given), strict=True):
        np.testing.assert_allclose(compiled, plain, rtol=1e-5)
