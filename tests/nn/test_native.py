"""The kernels in C++ against the same formulas in float64: drawn shapes, gradients, NaN, calls that
must be refused.
"""

from __future__ import annotations

import functools
import re
from types import ModuleType

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxode.checks import ConfigError
from jaxode.config import ModelConfig, SolveConfig
from jaxode.models import create_model
from jaxode.nn import convolution, kernels, native, normalization
from jaxode.nn.downsampling import Segment
from jaxode.nn.kernels import ANY_MODE, MATMUL, NATIVE, choose_kernels, kernels_name
from jaxode.nn.layers import group_count
from jaxode.nn.native import chain, layers, loading, segment
from jaxode.nn.native.loading import PREFIX, candidates

needs_native = pytest.mark.skipif(not native.load(), reason=native.unavailable_reason() or "built")
BOUND = 2e-5
"""Of the largest error over the largest number; float32's rounding is 6e-8, and sums have up to a
thousand terms.
"""

EPS = 1e-5
drawn = settings(max_examples=8, deadline=None, derandomize=True)
widths = st.sampled_from([8, 16, 24, 40, 64])
sides = st.integers(1, 13)


def arrays(seed, *shapes, scale=1.0):
    rng = np.random.default_rng(seed)
    return [scale * rng.normal(size=shape) for shape in shapes]


def assert_close(got, expected):
    """Every array to rounding; one that is zero but for rounding is compared by the size of all."""
    got, expected = jax.tree.leaves(got), jax.tree.leaves(expected)
    largest = max(float(np.abs(each).max(initial=0)) for each in expected)
    for ours, truth in zip(got, expected, strict=True):
        size = max(float(np.abs(truth).max(initial=0)), 0.01 * largest)
        assert (
            np.abs(np.asarray(ours, np.float64) - np.asarray(truth)).max(initial=0) <= BOUND * size
        )


def both(native_call, reference, inputs, result):
    """Value and gradients of a native call in float32 and of its reference in float64."""

    def run(function, inputs, slope):
        out, pull = jax.vjp(function, *inputs)
        return out, pull(slope)

    with jax.enable_x64(True):
        truth = jax.jit(functools.partial(run, reference))(inputs, result)
    single = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), (inputs, result))
    return jax.jit(functools.partial(run, native_call))(*single), jax.tree.map(np.asarray, truth)


@needs_native
@drawn
@given(st.integers(0, 5), sides, sides, widths, widths, st.sampled_from([1, 2]))
def test_convolutions_are_the_formula(batch, height, width, inner, outer, stride):
    height, width = max(height, stride), max(width, stride)
    taps = 3 if stride == 1 else 4
    x, kernel = arrays(0, (batch, height, width, inner), (taps, taps, inner, outer))
    reference = functools.partial(convolution.matmul_any_mode, stride=stride, padding=1)
    with jax.enable_x64(True):
        shape = jax.eval_shape(reference, x, kernel).shape
    (slope,) = arrays(1, shape)
    assert_close(
        *both(
            functools.partial(layers.convolution, stride=stride, padding=1),
            reference,
            (x, kernel),
            slope,
        )
    )


@needs_native
@drawn
@given(st.integers(1, 4), sides, sides, widths)
def test_group_norms_are_the_formula(batch, height, width, channels):
    x, scale, bias = arrays(0, (batch, height, width, channels), (channels,), (channels,))
    (slope,) = arrays(1, x.shape)
    groups = (
        group_count(channels) if height * width > 1 else 1
    )  # one number by itself has no deviation

    def norm(function, *inputs):
        return function(*inputs, groups, EPS)

    pair = (
        functools.partial(norm, layers.group_norm),
        functools.partial(norm, normalization.group_norm_any_mode),
    )
    assert_close(*both(*pair, (x, scale, bias), slope))


def parameters(channels, units, times, norm):
    rng = np.random.default_rng(2)

    def vector(mean):
        return mean + 0.3 * rng.normal(size=channels)

    inner = channels + (times is not None)
    made = [
        chain.Unit(
            vector(1),
            vector(0.2),
            rng.normal(size=(3, 3, inner, channels)) / (9 * channels) ** 0.5,
            None if times is None else vector(0),
        )
        for _ in range(units)
    ]
    return tuple(made), chain.Tail(vector(1), vector(0)) if norm else None


def chained(kind, settings, times, z, parameters):
    return (
        chain.chain(times, z, *parameters, settings)
        if kind == "native"
        else chain.reference(settings, times, z, parameters)
    )


@needs_native
@drawn
@given(
    st.integers(1, 5),
    st.integers(2, 9),
    st.integers(2, 9),
    st.sampled_from([8, 24, 64]),
    st.sampled_from([1, 2]),
    st.sampled_from(["none", "one", "each"]),
    st.sampled_from(["nothing", "norm", "residual"]),
)
def test_chains_are_the_formula(batch, height, width, channels, units, clock, tail):
    z, slope = arrays(0, *[(batch, height, width, channels)] * 2)
    times = {"none": None, "one": np.array([0.3]), "each": np.linspace(0.1, 0.9, batch)}[clock]
    settings = chain.Settings(max(1, channels // 4), EPS, tail == "residual")
    inputs = times, z, parameters(channels, units, times, tail == "norm")
    pair = (functools.partial(chained, kind, settings) for kind in ("native", "reference"))
    assert_close(*both(*pair, inputs, slope))


@needs_native
@drawn
@given(
    st.integers(1, 3),
    st.integers(6, 30),
    st.integers(6, 30),
    st.sampled_from([1, 2, 3]),
    st.sampled_from([8, 32, 64]),
)
def test_the_downsampling_segment_is_the_formula_for_images_too(
    batch, height, width, channels, maps
):
    shapes = [
        (3, 3, channels, maps),
        (maps,),
        (maps,),
        (maps,),
        (4, 4, maps, maps),
        (maps,),
        (maps,),
        (maps,),
        (4, 4, maps, maps),
        (maps,),
    ]
    images, *rest = arrays(0, (batch, height, width, channels), *shapes, scale=0.3)
    values = Segment(*rest)
    values = values._replace(
        first_scale=values.first_scale + 1, second_scale=values.second_scale + 1
    )
    groups = max(1, maps // 4)

    def plain(images, segment):
        norm = functools.partial(normalization.group_norm_any_mode, groups=groups, eps=EPS)
        out = convolution.matmul_any_mode(images, segment.first, 1, 0) + segment.first_shift
        out = jax.nn.relu(norm(out, segment.first_scale, segment.first_bias))
        out = convolution.matmul_any_mode(out, segment.second, 2, 1) + segment.second_shift
        out = jax.nn.relu(norm(out, segment.second_scale, segment.second_bias))
        return convolution.matmul_any_mode(out, segment.third, 2, 1) + segment.third_shift

    with jax.enable_x64(True):
        (slope,) = arrays(1, jax.eval_shape(plain, images, values).shape)
    native_call = functools.partial(segment.downsampling, groups=groups, eps=EPS)
    assert_close(*both(native_call, plain, (images, values), slope))


@needs_native
def test_the_images_gradient_is_left_out_where_nobody_asks():
    (images,) = arrays(0, (2, 12, 12, 1))
    values = Segment(
        *map(
            jnp.asarray,
            arrays(
                1,
                (3, 3, 1, 8),
                (8,),
                (8,),
                (8,),
                (4, 4, 8, 8),
                (8,),
                (8,),
                (8,),
                (4, 4, 8, 8),
                (8,),
            ),
        )
    )
    values = jax.tree.map(jnp.float32, values)

    def loss(values, images):
        return segment.downsampling(images, values, 4, EPS).sum()

    images = jnp.float32(images)
    alone = str(jax.make_jaxpr(jax.grad(loss))(values, images))
    with_images = str(jax.make_jaxpr(jax.grad(loss, argnums=(0, 1)))(values, images))
    assert re.search(r"to_images\W+False", alone)
    assert re.search(r"to_images\W+True", with_images)


@needs_native
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_stays_with_its_image(bad):
    z = np.ones((3, 6, 6, 16), np.float32) * np.linspace(-1, 1, 16, dtype=np.float32)
    z[1, 2, 3, 5] = bad
    units, tail = jax.tree.map(jnp.float32, parameters(16, 2, np.zeros(1), True))
    out = np.asarray(
        chain.chain(jnp.float32([0.5]), jnp.asarray(z), units, tail, chain.Settings(4, EPS, False))
    )
    assert np.isfinite(out[[0, 2]]).all()
    with jax.enable_x64(True):
        formula = jax.jit(functools.partial(chain.reference, chain.Settings(4, EPS, False)))
        plain = formula(np.array([0.5]), z.astype(float), (units, tail))
    np.testing.assert_array_equal(np.isnan(out[1]), np.isnan(np.asarray(plain)[1]))


def plain_group_norm(x, scale, bias, groups):
    """By its definition; that of matrix products takes a NaN to other groups, for 0 times NaN is
    NaN.
    """
    split = x.reshape(*x.shape[:3], groups, -1)
    mean, variance = (function(split, (1, 2, 4), keepdims=True) for function in (jnp.mean, jnp.var))
    return ((split - mean) / jnp.sqrt(variance + EPS)).reshape(x.shape) * scale + bias


@needs_native
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    "name", ["convolution", "strided convolution", "group norm", "downsampling"]
)
def test_what_is_not_finite_reaches_all_that_it_reaches_by_the_formula(name, bad):
    """And no other image.

    A Winograd tile may take it a pixel further, and make NaN of an infinity.
    """
    if name == "downsampling":
        shapes = [
            (3, 3, 1, 8),
            (8,),
            (8,),
            (8,),
            (4, 4, 8, 8),
            (8,),
            (8,),
            (8,),
            (4, 4, 8, 8),
            (8,),
        ]
        values = Segment(*map(jnp.float32, arrays(1, *shapes)))
        x = arrays(0, (3, 14, 14, 1))[0]
        pair = (
            lambda x: segment.downsampling(x, values, 4, EPS),
            lambda x: segment.reference((4, EPS), x, values)[0],
        )
    elif name == "group norm":
        scale, bias = map(jnp.float32, arrays(1, (8,), (8,)))
        x = arrays(0, (3, 6, 6, 8))[0]
        pair = (
            lambda x: layers.group_norm(x, scale, bias, 4, EPS),
            lambda x: plain_group_norm(x, scale, bias, 4),
        )
    else:
        size, stride = (3, 1) if name == "convolution" else (4, 2)
        kernel = jnp.float32(arrays(1, (size, size, 8, 8))[0])
        x = arrays(0, (3, 9, 9, 8))[0]
        pair = (
            lambda x: layers.convolution(x, kernel, stride, 1),
            lambda x: convolution.library(x, kernel, stride, 1),
        )
    x[1, 4, 5, 0] = bad
    ours, plain = (~np.isfinite(np.asarray(jax.jit(function)(jnp.float32(x)))) for function in pair)
    assert plain[1].any()
    assert not ours[[0, 2]].any()
    assert (ours >= plain).all()
    if name == "group norm":
        np.testing.assert_array_equal(ours, plain)


@needs_native
def test_calls_give_the_same_bits_each_time():
    z, slope = (jnp.float32(each) for each in arrays(0, *[(64, 6, 6, 64)] * 2))
    inputs = jax.tree.map(jnp.float32, parameters(64, 2, np.zeros(1), True))
    run = jax.jit(
        lambda t, z, p, d: jax.vjp(
            lambda *a: chain.chain(a[0], a[1], *a[2], chain.Settings(32, EPS, False)), t, z, p
        )[1](d)
    )
    first = run(jnp.float32([0.3]), z, inputs, slope)
    for _ in range(5):
        jax.tree.map(
            np.testing.assert_array_equal, first, run(jnp.float32([0.3]), z, inputs, slope)
        )


@needs_native
@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (((2, 6, 6, 12), (3, 3, 12, 16)), "multiple of 8"),
        (((2, 6, 6, 16), (3, 3, 8, 16)), r"the kernel must be float32 \[3, 3, 16, 16\]"),
        (((2, 6, 6, 16), (5, 5, 16, 16)), r"the kernel must be float32"),
        (((2, 6, 16), (3, 3, 16, 16)), "four dimensions"),
    ],
)
def test_a_call_with_other_shapes_is_refused_before_anything_is_read(shapes, message):
    out = jax.ShapeDtypeStruct((2, 6, 6, 16), jnp.float32)
    call = jax.ffi.ffi_call(f"{PREFIX}convolution", out)
    x, kernel = (jnp.zeros(shape, jnp.float32) for shape in shapes)
    with pytest.raises(Exception, match=message):
        jax.block_until_ready(call(x, kernel, stride=np.int64(1), outer=np.int64(16)))


@needs_native
def test_what_does_not_fit_goes_by_matrix_products():
    for shape, size, stride, padding in [
        ((2, 6, 6, 12), 3, 1, 1),
        ((2, 6, 6, 16), 5, 1, 2),
        ((2, 6, 6, 16), 3, 1, 0),
    ]:
        x, kernel = (jnp.float32(each) for each in arrays(0, shape, (size, size, shape[3], 8)))
        expected = convolution.matmul(x, kernel, stride, padding)
        np.testing.assert_array_equal(layers.convolution(x, kernel, stride, padding), expected)


@needs_native
def test_a_chain_of_three_units_is_refused():
    z, kernel = jnp.zeros((2, 4, 4, 8), jnp.float32), jnp.zeros((3, 3, 8, 8), jnp.float32)
    unit = (jnp.ones(8, jnp.float32), jnp.zeros(8, jnp.float32), kernel)
    names = {"groups": 2, "units": 3, "tail": 0, "times": 0}
    attributes = {name: np.int64(value) for name, value in names.items()}
    results = [jax.ShapeDtypeStruct(z.shape, jnp.float32)] * 3
    call = jax.ffi.ffi_call(f"{PREFIX}chain", results)
    with pytest.raises(Exception, match="one or two units"):
        jax.block_until_ready(call(z, *unit * 3, eps=np.float32(EPS), keep=True, **attributes))
    with pytest.raises(ValueError, match=r"1 or 2 units .*, got 3 units"):
        chain.chain(None, z, (chain.Unit(*unit),) * 3, None, chain.Settings(2, EPS, False))


@needs_native
def test_another_type_is_named_by_a_refused_call():
    call = jax.ffi.ffi_call(f"{PREFIX}convolution", jax.ShapeDtypeStruct((1, 2, 2, 8), jnp.float32))
    x, kernel = jnp.zeros((1, 2, 2, 8), jnp.float32), jnp.zeros((3, 3, 8, 8), jnp.bfloat16)
    with pytest.raises(
        Exception, match=r"the kernel must be float32 .*, and is BF16 \[3, 3, 8, 8\]"
    ):
        jax.block_until_ready(call(x, kernel, stride=np.int64(1), outer=np.int64(8)))


@needs_native
@pytest.mark.parametrize(
    ("shape", "dtype"), [((1, 2048, 1024, 16), "float32"), ((1, 12, 12, 16), "bfloat16")]
)
def test_maps_too_large_and_parameters_of_another_type_go_by_matrix_products(shape, dtype):
    """2048 · 1024 · 16 numbers are more than 2^24."""
    field = (
        create_model(ModelConfig(width=16), image_shape=(12, 12, 1), classes=3, rngs=nnx.Rngs(0))
        .blocks[0]
        .field
    )
    field = jax.tree.map(lambda leaf: leaf.astype(dtype), field)
    maps = jax.ShapeDtypeStruct(shape, jnp.float32)
    settings = (8, EPS)
    parts = Segment(
        *(jax.ShapeDtypeStruct(size, dtype) for size in
          [(3, 3, 16, 16), (16,), (16,), (16,), (4, 4, 16, 16), (16,), (16,), (16,),
           (4, 4, 16, 16), (16,)])
    )  # fmt: skip
    kernel, vector = (jax.ShapeDtypeStruct(size, dtype) for size in [(3, 3, 16, 16), (16,)])
    for function, arguments in [
        (field, (jnp.float32(0.5), maps)),
        (lambda x, kernel: layers.convolution(x, kernel, 1, 1), (maps, kernel)),
        (lambda x, *scales: layers.group_norm(x, *scales, *settings), (maps, vector, vector)),
        (lambda x, parts: segment.downsampling(x, parts, *settings), (maps, parts)),
    ]:
        assert "ffi_call" not in str(jax.make_jaxpr(function)(*arguments))


@needs_native
@pytest.mark.parametrize("by", ["the cotangent", "the state"])
def test_gradients_have_derivatives_in_forward_mode(by):
    """As Diffrax's adjoint asks for."""
    z, slope, direction = (jnp.float32(each) for each in arrays(0, *[(2, 4, 4, 8)] * 3))
    values = jax.tree.map(jnp.float32, parameters(8, 2, np.zeros(1), True))
    settings = chain.Settings(2, EPS, False)

    def derivative(gradient, z, values, slope, direction):
        times = jnp.full(1, 0.3, z.dtype)
        native_call = gradient is chain._gradient
        saved = chain._chain_forward(settings, times, z, values)[1][3:] if native_call else ([], [])
        if by == "the cotangent":
            return jax.jvp(
                lambda d: gradient(settings, (times, z, values, *saved), d), (slope,), (direction,)
            )[1]
        return jax.jvp(
            lambda z: gradient(settings, (times, z, values, *saved), slope), (z,), (direction,)
        )[1]

    got = jax.jit(functools.partial(derivative, chain._gradient))(z, values, slope, direction)
    with jax.enable_x64(True):
        wide = jax.tree.map(
            lambda leaf: np.asarray(leaf, np.float64), (z, values, slope, direction)
        )
        expected = jax.jit(functools.partial(derivative, chain._reference_gradient))(*wide)
    largest = max(float(np.abs(leaf).max()) for leaf in jax.tree.leaves(expected))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4 * largest), got, expected)


def test_which_kernels_run_is_one_choice(monkeypatch):
    monkeypatch.delenv("JAXODE_KERNELS", raising=False)
    monkeypatch.setattr(kernels.native, "load", lambda: True)
    assert kernels_name() == "native"
    assert choose_kernels() is NATIVE
    with pytest.raises(
        ConfigError, match="kernels native are for precision float32, got precision float64"
    ):
        kernels_name("native", "float64")
    assert choose_kernels(forward_mode=True) is ANY_MODE
    assert kernels_name(precision="float64") == kernels_name(precision="bfloat16") == "matmul"
    monkeypatch.setenv("JAXODE_KERNELS", "matmul")
    assert choose_kernels() is MATMUL
    assert kernels_name("plain") == "plain"  # what a caller names comes before the environment
    monkeypatch.setenv("JAXODE_KERNELS", "quick")
    with pytest.raises(
        ConfigError, match="JAXODE_KERNELS must be one of auto, native, matmul, plain, got 'quick'"
    ):
        kernels_name()


def test_without_the_native_kernels_all_goes_on_and_the_reason_is_stated(monkeypatch):
    monkeypatch.delenv("JAXODE_KERNELS", raising=False)
    monkeypatch.setattr(kernels.native, "load", lambda: False)
    monkeypatch.setattr(kernels.native, "unavailable_reason", lambda: "they were not built")
    assert choose_kernels() is MATMUL
    with pytest.raises(ConfigError, match="kernels native cannot be used: they were not built"):
        kernels_name("native")


def test_a_processor_takes_only_modules_that_it_can_run(monkeypatch):
    found = "jaxode.nn.native.loading"
    monkeypatch.setattr(f"{found}.platform.machine", lambda: "x86_64")
    for flags, expected in [
        ({"avx2", "fma"}, ["_avx2"]),
        ({"sse2"}, []),
        ({"avx2", "fma", "avx512f", "avx512vl", "avx512dq", "avx512bw"}, ["_avx512", "_avx2"]),
    ]:
        monkeypatch.setattr(f"{found}.processor_flags", lambda flags=flags: frozenset(flags))
        assert candidates() == expected
    monkeypatch.setattr(f"{found}.platform.machine", lambda: "aarch64")
    assert candidates() == ["_native"]


def built_module():
    """In place of a built module."""
    module = ModuleType("_avx2")
    module.lanes = 8
    module.targets = lambda: {"chain": None}
    return module


@pytest.fixture
def fresh(monkeypatch):
    """The search for a module, as in a process where nobody has searched yet."""
    loading._loaded.cache_clear()
    monkeypatch.setattr(loading, "candidates", lambda: ["_avx512", "_avx2"])
    yield monkeypatch
    monkeypatch.undo()
    loading._loaded.cache_clear()


def test_the_next_module_is_loaded_where_the_quickest_was_not_built(fresh):
    def found(name):
        if name.endswith("_avx512"):
            raise ImportError(name)
        return built_module()

    fresh.setattr(loading.importlib, "import_module", found)
    fresh.setattr(loading.jax.ffi, "register_ffi_target", lambda *_, **__: None)
    fresh.setattr(loading.allocation, "register", lambda *_: None)
    assert native.load()
    assert loading.vector_width() == 8
    assert native.unavailable_reason() == ""


def test_another_version_of_the_interface_is_reported(fresh):
    def refuse(*_, **__):
        raise RuntimeError("FFI handler API version 0.9 is not compatible\nmore")

    fresh.setattr(loading.importlib, "import_module", lambda _: built_module())
    fresh.setattr(loading.jax.ffi, "register_ffi_target", refuse)
    assert not native.load()
    assert (
        native.unavailable_reason()
        == "jaxlib does not take the native kernels (FFI handler API version 0.9 is not"
        " compatible); build them anew"
    )


def test_a_module_that_was_not_built_is_reported_with_a_remedy(fresh):
    def missing(name):
        raise ImportError(name)

    fresh.setattr(loading.importlib, "import_module", missing)
    assert not native.load()
    not_built = "the native kernels were not built; install a C++ compiler"
    assert native.unavailable_reason().startswith(not_built)
    fresh.setattr(loading, "candidates", list)
    loading._loaded.cache_clear()
    assert native.unavailable_reason() == "the native kernels need a processor with AVX2 and FMA"


@needs_native
@pytest.mark.parametrize(
    ("solve", "calls"),
    [
        (SolveConfig(), True),
        (SolveConfig(gradient="backsolve"), True),
        (SolveConfig(per_sample=True), True),
        (SolveConfig(per_sample=True, gradient="backsolve"), True),
        (SolveConfig(solver="kvaerno3"), False),
    ],
)
def test_a_field_calls_native_kernels_where_it_may(solve, calls, monkeypatch):
    monkeypatch.delenv("JAXODE_KERNELS", raising=False)
    options = {"image_shape": (12, 12, 1), "classes": 3, "rngs": nnx.Rngs(0)}
    model = create_model(ModelConfig(width=8), solve, **options)
    assert (model.blocks[0].field.chain is not None) == calls
