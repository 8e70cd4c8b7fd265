"""Native calls under JAX's transformations: finite differences, second derivatives, jax.vmap,
several devices.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxode.config import ModelConfig, SolveConfig
from jaxode.models import create_model
from jaxode.nn import convolution, native, normalization
from jaxode.nn.downsampling import Segment
from jaxode.nn.native import chain, layers, segment

pytestmark = pytest.mark.skipif(not native.load(), reason=native.unavailable_reason() or "built")
EPS = 1e-5
FIELD = chain.Settings(4, EPS, residual=False)


def drawn(seed, *shapes, scale=1.0):
    rng = np.random.default_rng(seed)
    return tuple(scale * rng.normal(size=shape) for shape in shapes)


def field_parameters(channels=8, seed=1):
    def unit(seed):
        scale, bias, kernel, shift = drawn(
            seed, channels, channels, (3, 3, channels + 1, channels), channels
        )
        return chain.Unit(1 + 0.3 * scale, 0.2 * bias, kernel / (3 * channels**0.5), 0.1 * shift)

    scale, bias = drawn(seed + 2, channels, channels)
    return (unit(seed), unit(seed + 1)), chain.Tail(1 + 0.2 * scale, bias)


def segment_parameters(channels=8, images=1):
    shapes = [(3, 3, images, channels)] + 3 * [(channels,)]
    shapes += (
        [(4, 4, channels, channels)] + 3 * [(channels,)] + [(4, 4, channels, channels), (channels,)]
    )
    made = Segment(*drawn(3, *shapes, scale=0.3))
    return made._replace(first_scale=made.first_scale + 1, second_scale=made.second_scale + 1)


# name: (native function, the same in XLA's operations, images' argument, parameters)
FUNCTIONS = {
    "field": (
        lambda z, p: chain.chain(jnp.asarray([0.3], z.dtype), z, *p, FIELD),
        lambda z, p: chain.reference(FIELD, jnp.asarray([0.3], z.dtype), z, p),
        drawn(0, (3, 4, 5, 8))[0],
        field_parameters(),
    ),
    "convolution": (
        lambda x, k: layers.convolution(x, k, 2, 1),
        lambda x, k: convolution.matmul_any_mode(x, k, 2, 1),
        *drawn(0, (3, 6, 7, 8), (4, 4, 8, 16)),
    ),
    "group norm": (
        lambda x, p: layers.group_norm(x, *p, 4, EPS),
        lambda x, p: normalization.group_norm_any_mode(x, *p, 4, EPS),
        *drawn(0, (3, 4, 5, 8)),
        drawn(1, 8, 8),
    ),
    "downsampling": (
        lambda x, p: segment.downsampling(x, p, 4, EPS),
        lambda x, p: segment.reference((4, EPS), x, p)[0],
        *drawn(0, (3, 8, 9, 1)),
        segment_parameters(),
    ),
}


def single(tree):
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), tree)


def evaluated(function, *arguments):
    """In float64."""
    with jax.enable_x64(True):
        return jax.tree.map(np.asarray, jax.jit(function)(*jax.tree.map(jnp.asarray, arguments)))


def assert_close(got, expected, bound=3e-5):
    """To rounding, by the size of the largest number of all."""
    largest = max(float(np.abs(leaf).max()) for leaf in jax.tree.leaves(expected))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=bound * largest), got, expected
    )


def loss(function, weights, x, parameters):
    return jnp.sum(jnp.sin(function(x, parameters)) * weights)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients_are_those_of_finite_differences(name):
    """Of the formula in float64, along random directions, with no rule of differentiation in
    between.
    """
    function, reference, x, parameters = FUNCTIONS[name]
    weights = drawn(9, np.shape(evaluated(reference, x, parameters)))[0]
    gradient = jax.jit(jax.grad(functools.partial(loss, function, single(weights)), argnums=(0, 1)))
    found = jax.tree.leaves(gradient(*single((x, parameters))))
    value = functools.partial(loss, reference, weights)
    leaves, tree = jax.tree.flatten((x, parameters))
    for number, leaf in enumerate(leaves):
        (direction,) = drawn(20 + number, np.shape(leaf))
        ends = []
        for step in (1e-6, -1e-6):
            moved = [
                each + step * direction if place == number else each
                for place, each in enumerate(leaves)
            ]
            ends.append(float(evaluated(value, *tree.unflatten(moved))))
        expected, got = (
            (ends[0] - ends[1]) / 2e-6,
            float(np.sum(np.asarray(found[number], float) * direction)),
        )
        size = np.linalg.norm(np.asarray(found[number])) * np.linalg.norm(direction)
        assert abs(got - expected) <= 2e-5 * size + 1e-4


@pytest.mark.parametrize("name", FUNCTIONS)
def test_second_derivatives_are_those_of_the_formula(name):
    """A product of the Hessian and a vector, by reverse mode over reverse mode and by forward mode
    over it.
    """
    function, reference, x, parameters = FUNCTIONS[name]
    weights = drawn(9, np.shape(evaluated(reference, x, parameters)))[0]
    direction = drawn(10, np.shape(x))[0]

    def products(function, weights, x, parameters, direction):
        slope = jax.grad(functools.partial(loss, function, weights), argnums=(0, 1))
        reverse = jax.grad(lambda x, p: jnp.sum(slope(x, p)[0] * direction), argnums=(0, 1))(
            x, parameters
        )
        return reverse, jax.jvp(lambda x: slope(x, parameters), (x,), (direction,))[1]

    arguments = weights, x, parameters, direction
    got = jax.jit(functools.partial(products, function))(*single(arguments))
    assert_close(got, evaluated(functools.partial(products, reference), *arguments), bound=2e-4)


@pytest.mark.parametrize("own_parameters", [False, True])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_mapped_calls_are_those_of_each_example(name, own_parameters):
    """Values and each example's gradients, of parameters that all share or that differ."""
    function, reference, x, parameters = FUNCTIONS[name]
    x = np.stack([x, 0.5 * x, x - 1])
    if own_parameters:
        parameters = jax.tree.map(lambda leaf: np.stack([leaf, 0.9 * leaf, leaf + 0.1]), parameters)

    def each(function, x, parameters):
        def one(x, p):
            value = function(x, p)
            return value, jax.grad(lambda x, p: jnp.sum(jnp.sin(function(x, p))), argnums=(0, 1))(
                x, p
            )

        return jax.vmap(one, (0, 0 if own_parameters else None))(x, parameters)

    got = jax.jit(functools.partial(each, function))(*single((x, parameters)))
    assert_close(got, evaluated(functools.partial(each, reference), x, parameters))


@pytest.mark.parametrize(
    "times", ["one for all", "one an example", "one an image", "one an image and example"]
)
def test_mapped_fields_take_times_of_any_kind(times):
    """With the gradient of the times."""
    z = drawn(0, (3, 2, 4, 4, 8))[0]
    given = {
        "one for all": (np.array([0.3]), None),
        "one an example": (np.array([[0.1], [0.5], [0.9]]), 0),
        "one an image": (np.array([0.2, 0.7]), None),
        "one an image and example": (drawn(5, (3, 2))[0], 0),
    }
    clock, axis = given[times]
    parameters = field_parameters()

    def each(function, clock, z, parameters):
        def one(clock, z):
            return jax.grad(lambda t, z, p: jnp.sum(jnp.sin(function(t, z, p))), argnums=(0, 1, 2))(
                clock, z, parameters
            )

        return jax.vmap(one, (axis, 0))(clock, z)

    got = jax.jit(functools.partial(each, lambda t, z, p: chain.chain(t, z, *p, FIELD)))(
        *single((clock, z, parameters))
    )
    expected = evaluated(
        functools.partial(each, functools.partial(chain.reference, FIELD)), clock, z, parameters
    )
    assert_close(got, expected)


def test_mapped_twice_is_mapped_once_over_both():
    x, parameters = drawn(0, (2, 3, 2, 4, 4, 8))[0], drawn(1, 8, 8)

    def gradient(x, parameters):
        return jax.grad(
            lambda p, x: jnp.sum(jnp.sin(layers.group_norm(x, *p, 4, EPS))), argnums=(0, 1)
        )(parameters, x)

    twice = jax.jit(jax.vmap(jax.vmap(gradient, (0, None)), (0, None)))(*single((x, parameters)))
    once = jax.jit(jax.vmap(gradient, (0, None)))(*single((x.reshape(6, 2, 4, 4, 8), parameters)))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a.reshape(b.shape), b, atol=1e-5), twice, once
    )


@pytest.mark.parametrize("gradient", ["backsolve", "checkpointed"])
def test_per_sample_solves_by_diffrax_map_native_calls(gradient):
    """Each image has its own solve, times and gradient of the parameters, which Diffrax adds up.

    Heun's method has two stages, and a program of them compiles in a third of dopri5's time.
    """
    images, found = jnp.asarray(drawn(0, (3, 16, 16, 1))[0], jnp.float32), {}
    for kernels in ("native", "matmul"):
        solve = SolveConfig("heun", rtol=1e-2, atol=1e-2, per_sample=True, gradient=gradient)
        model = create_model(
            ModelConfig(width=8),
            solve,
            image_shape=(16, 16, 1),
            classes=3,
            rngs=nnx.Rngs(0),
            kernels=kernels,
        )
        graph, parameters = nnx.split(model)

        def loss(parameters, graph=graph):
            return jnp.sum(nnx.merge(graph, parameters)(images)[0] ** 2)

        found[kernels] = jax.tree.map(np.asarray, jax.jit(jax.value_and_grad(loss))(parameters))
    assert_close(jax.tree.leaves(found["native"]), jax.tree.leaves(found["matmul"]), bound=1e-4)


DEVICES = """
import json, sys
import jax, jax.numpy as jnp, numpy as np
from flax import nnx
sys.path[:0] = sys.argv[1:3]
from stubs import image_set
from jaxode.config import ModelConfig, OptimConfig, ParallelConfig, RunConfig, SolveConfig
from jaxode.train.compiled_steps import CompiledSteps

found = {}
for name, settings in json.loads(sys.argv[3]).items():
    config = RunConfig(
        model=ModelConfig("odenet", 1, 8),
        solve=SolveConfig(rtol=1e-1, atol=1e-1, **settings.get("solve", {})),
        optim=OptimConfig(optimizer="sgd", lr=0.1, schedule="constant"),
        parallel=ParallelConfig(settings["parallel"], settings["devices"]),
        batch_size=8, epochs=1, kernels=settings.get("kernels", "native"),
    )
    steps = CompiledSteps(config, image_set(24, 8))
    state = steps.first_state()
    steps.compile(state)
    key, table = steps.epoch(0)
    state = steps.train(state, key, table, 3)
    leaves = jax.tree.leaves(state.learned.params)
    text = steps.train_loop.as_text()
    found[name] = {
        "parameters": np.concatenate([np.ravel(leaf) for leaf in leaves]).astype(float).tolist(),
        "chains": text.count("jaxode_native_chain_gradient"),
        "rows": sorted({int(line.split("f32[")[1].split(",")[0]) for line in text.splitlines()
                        if 'custom_call_target="jaxode_native_segment"' in line}),
    }
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def trained():
    """Parameters after three steps, spread in several ways, each in the one process that can have
    two devices.
    """
    cases = {
        "alone": {"parallel": "jit", "devices": 1},
        "matmul": {"parallel": "jit", "devices": 1, "kernels": "matmul"},
        "jit": {"parallel": "jit", "devices": 2},
        "pmap": {
            "parallel": "pmap",
            "devices": 2,
            "solve": {"step_size": 0.5, "solver": "midpoint"},
        },
        "alone, fixed": {
            "parallel": "jit",
            "devices": 1,
            "solve": {"step_size": 0.5, "solver": "midpoint"},
        },
    }
    here = Path(__file__).parents[1]
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=2"
    environment = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", DEVICES, str(here), str(here.parent), json.dumps(cases)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("one", "other"),
    [("alone", "matmul"), ("alone", "jit"), ("alone, fixed", "pmap")],
)
def test_training_is_the_same_on_two_devices(trained, one, other):
    first, second = (np.array(trained[name]["parameters"]) for name in (one, other))
    assert np.linalg.norm(first - second) <= 1e-4 * np.linalg.norm(first)


@pytest.mark.timeout(300)
def test_each_device_calls_native_kernels_for_its_own_images(trained):
    assert trained["matmul"]["chains"] == 0
    assert all(trained[name]["chains"] for name in trained if name != "matmul")
    assert trained["alone"]["rows"] == [8]
    assert trained["jit"]["rows"] == trained["pmap"]["rows"] == [4]
