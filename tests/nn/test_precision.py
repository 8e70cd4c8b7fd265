"""Convolutions in less than float32: what is rounded, and the program for a GPU."""

from __future__ import annotations

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.extend.core import jaxprs_in_params

from jaxode.config import ModelConfig, SolveConfig
from jaxode.models import create_model
from jaxode.nn import convolution, kernels
from jaxode.nn.fields import ConvField
from jaxode.nn.kernels import choose_kernels, rounded
from jaxode.ode import odeint
from jaxode.ode.residuals import LinearizedField

LOW = ("bfloat16", "float16")


@pytest.mark.parametrize(
    ("capability", "has"), [("8.0", True), ("12.1", True), ("7.5", False), ("gfx90a", False)]
)
def test_which_devices_have_tf32(capability, has, monkeypatch):
    monkeypatch.setattr(
        kernels.jax, "devices", lambda: [SimpleNamespace(compute_capability=capability)]
    )
    assert kernels.has_tf32() is has


def _half(precision: str) -> float:
    """Largest relative error of rounding to a type."""
    return float(jnp.finfo(precision).eps) / 2


@pytest.mark.parametrize(
    "method", [convolution.matmul, convolution.matmul_any_mode], ids=["own", "any mode"]
)
@pytest.mark.parametrize("precision", LOW)
def test_inputs_and_results_are_rounded_and_sums_are_not(precision, method):
    """Each of the three products, of numbers rounded once: half a unit from the exact sum of 500
    terms.
    """
    rng = np.random.default_rng(0)
    arrays = [
        rng.normal(size=shape).astype(np.float32)
        for shape in ((4, 13, 13, 32), (4, 4, 32, 8), (4, 6, 6, 8))
    ]
    exact = [np.asarray(jnp.asarray(a).astype(precision), np.float64) for a in arrays]
    with jax.enable_x64(True):
        out, pull = jax.vjp(lambda *a: convolution.library(*a, 2, 1), *exact[:2])
        expected = [out, *pull(exact[2])]
    low = rounded(method, precision)
    out, pull = jax.vjp(lambda *a: low(*a, 2, 1), *arrays[:2])
    for got, want in zip([out, *pull(jnp.asarray(arrays[2]))], expected, strict=True):
        assert got.dtype == jnp.float32
        np.testing.assert_allclose(got, want, rtol=_half(precision) * (1 + 1e-6), atol=1e-4)
        np.testing.assert_array_equal(got, got.astype(precision).astype(jnp.float32))


def _smooth(precision, dtype):
    """A solve through a field all of whose ReLUs stay open, and its gradient; parameters the same
    in every type.
    """
    rng = np.random.default_rng(0)
    field = ConvField(
        8, kernels=choose_kernels(precision), rngs=nnx.Rngs(0), dtype=jnp.dtype(dtype)
    )
    graph, state = nnx.split(field)
    params, tree = jax.tree.flatten(state)
    params = [jnp.asarray(rng.uniform(-0.3, 0.3, p.shape), dtype) for p in params]
    state = jax.tree.unflatten(tree, params)
    state["norm1"]["bias"][...] = state["norm2"]["bias"][...] = jnp.full(8, 5.0, dtype)
    params = jax.tree.leaves(state)
    z, slope = (jnp.asarray(rng.normal(size=(2, 6, 6, 8)), dtype) for _ in range(2))
    solve = SolveConfig(solver="midpoint", step_size=0.5)

    def run(z, params):
        z1, _ = odeint(
            lambda t, y, p: nnx.merge(graph, jax.tree.unflatten(tree, p))(t, y), z, params, solve
        )
        return jnp.sum(z1 * slope), z1

    gradient, z1 = jax.jit(jax.grad(run, argnums=(0, 1), has_aux=True))(z, params)
    assert {leaf.dtype for leaf in jax.tree.leaves((gradient, z1))} == {jnp.dtype(dtype)}
    return z1, jax.tree.leaves(gradient)


def _error(got, want):
    """Global relative error."""
    pairs = [
        (np.asarray(a, np.float64), np.asarray(b, np.float64))
        for a, b in zip(got, want, strict=True)
    ]
    return np.sqrt(
        sum(((a - b) ** 2).sum() for a, b in pairs) / sum((b**2).sum() for _, b in pairs)
    )


def test_a_solve_of_a_smooth_field_against_float64():
    """Bfloat16 has 8 bits; nothing here amplifies an error, and three layers' errors add up as
    those of noise do.
    """
    with jax.enable_x64(True):
        exact = _smooth("float64", "float64")
    got = _smooth("bfloat16", "float32")
    assert _error([got[0]], [exact[0]]) < _half("bfloat16")  # found: 0.18 of it
    assert _error(got[1], exact[1]) < 2 * _half("bfloat16")  # found: 0.87 of it


def test_the_tape_keeps_convolutions_in_16_bits():
    field = ConvField(8, kernels=choose_kernels("bfloat16"), rngs=nnx.Rngs(0), dtype=jnp.float32)
    graph, state = nnx.split(field)
    linearized = LinearizedField(
        lambda t, z, p: nnx.merge(graph, p)(t, z), jnp.float32(0), jnp.ones((2, 6, 6, 8)), state
    )
    maps = [str(each.dtype) for each in linearized.saved if each.ndim == 4]
    assert sorted(maps) == ["bfloat16", "bfloat16", "float32"]  # both convolutions, and the state


def _products(jaxpr, found):
    """Operand types and precisions of all products in a program, by primitive."""
    for equation in jaxpr.eqns:
        name = equation.primitive.name
        if name in ("dot_general", "conv_general_dilated"):
            kind = "/".join({str(v.aval.dtype) for v in equation.invars})
            # The setting only has a meaning for float32.
            kind += (
                "".join(f" {p.name}" for p in set(equation.params["precision"] or []))
                if "32" in kind
                else ""
            )
            found.setdefault(name, set()).add(kind)
        for inner in jaxprs_in_params(equation.params):
            _products(inner, found)
    return found


@pytest.mark.parametrize(
    ("precision", "kind"),
    [
        ("float32", "float32 HIGHEST"),
        ("tf32", "float32 HIGH"),
        ("bfloat16", "bfloat16"),
        ("float16", "float16"),
    ],
)
def test_the_precision_of_the_program_for_a_gpu(precision, kind, monkeypatch):
    """In every product of a training step, forward and backward; the program is traced as for a
    GPU, and not run.
    """
    monkeypatch.setattr(kernels.jax, "default_backend", lambda: "gpu")
    solve = SolveConfig(solver="midpoint", step_size=0.5)
    model = create_model(
        ModelConfig(width=4),
        solve,
        image_shape=(12, 12, 1),
        classes=3,
        rngs=nnx.Rngs(0),
        precision=precision,
    )
    graph, params = nnx.split(model)
    loss = jax.grad(lambda p, x: nnx.merge(graph, p)(x)[0].sum())
    found = _products(jax.make_jaxpr(loss)(params, jnp.ones((2, 12, 12, 1))).jaxpr, {})
    assert found == {"conv_general_dilated": {kind}, "dot_general": {"float32 HIGHEST"}}


def test_a_backsolve_in_bfloat16_runs_on_this_device():
    """XLA ended it, with adaptive steps, on CPUs without products of 16-bit numbers."""
    solve = SolveConfig("bosh3", rtol=1e-2, atol=1e-2, gradient="backsolve")
    field = ConvField(4, kernels=choose_kernels("bfloat16"), rngs=nnx.Rngs(0))
    graph, params = nnx.split(field)
    z0 = jnp.asarray(np.random.default_rng(0).normal(size=(2, 6, 6, 4)), jnp.float32)

    @jax.jit
    def slope(params):
        def loss(params):
            read = lambda t, z, p: nnx.merge(graph, p)(t, z)  # noqa: E731
            return jnp.sum(odeint(read, z0, params, solve)[0] ** 2)

        return jax.grad(loss)(params)

    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(slope(params)))
