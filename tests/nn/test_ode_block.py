"""The ODE block: fields of any kind, states of any shape, every gradient mode, statistics."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from flax import nnx

from jaxode.checks import ConfigError
from jaxode.config import GRADIENT_FACTS, SolveConfig
from jaxode.nn import ODEBlock, SolveStats, solve_stats
from jaxode.ode import Stats, StepOptions

MODES = tuple(GRADIENT_FACTS)
RNG = np.random.default_rng(0)


class Spiral(nnx.Module):
    """dz/dt = tanh(z A) + b t, in the plane."""

    def __init__(self):
        self.matrix = nnx.Param(jnp.array([[-0.1, 2.0], [-2.0, -0.1]]))
        self.drift = nnx.Param(jnp.array([0.3, -0.2]))

    def __call__(self, t, z):
        return jnp.tanh(z @ self.matrix[...]) + self.drift[...] * t


class Oscillator(nnx.Module):
    """Position and velocity as a dict; a stiffness of its own, and a damping that is given."""

    def __init__(self):
        self.stiffness = nnx.Param(jnp.array(2.0))

    def __call__(self, t, z, damping):
        force = -self.stiffness[...] * z["position"] - damping * z["velocity"]
        return {"position": z["velocity"], "velocity": force}


def solve(mode):
    return SolveConfig(rtol=1e-7, atol=1e-7, gradient=mode, max_steps=64)


def central(loss, tree, step=1e-5):
    """Central differences along one random direction, and that direction."""
    leaves, structure = jax.tree.flatten(tree)
    along = [RNG.normal(size=np.shape(leaf)) for leaf in leaves]

    def at(h):
        moved = [leaf + h * by for leaf, by in zip(leaves, along, strict=True)]
        return float(loss(jax.tree.unflatten(structure, moved)))

    return (at(step) - at(-step)) / (2 * step), jax.tree.unflatten(structure, along)


def along(gradient, direction):
    pairs = zip(jax.tree.leaves(gradient), jax.tree.leaves(direction), strict=True)
    return float(sum(jnp.vdot(g, d) for g, d in pairs))


STARTS = np.array([[2.0, 0.0], [0.5, -1.0]])


@pytest.mark.parametrize("mode", MODES)
def test_an_own_module_is_differentiated_in_every_mode(mode, x64):
    graph, params = nnx.split(ODEBlock(Spiral(), solve(mode), t0=0.5, t1=2.0))

    @jax.jit
    def loss(given):
        params, z = given
        return jnp.sum(nnx.merge(graph, params)(z)[0] ** 2)

    given = params, jnp.asarray(STARTS)
    expected, direction = central(loss, given)
    found = jax.jit(jax.grad(loss))(given)
    assert along(found, direction) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("mode", MODES)
def test_a_state_of_several_arrays_and_an_argument(mode, x64):
    graph, params = nnx.split(ODEBlock(Oscillator(), solve(mode)))

    @jax.jit
    def loss(given):
        params, z, damping = given
        end, _ = nnx.merge(graph, params)(z, damping)
        return jnp.sum(end["position"] * end["velocity"])

    given = (
        params,
        {"position": jnp.array([1.0, 0.2]), "velocity": jnp.array([0.0, -1.0])},
        jnp.array(0.5),
    )
    expected, direction = central(loss, given)
    assert along(jax.grad(loss)(given), direction) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("mode", MODES)
def test_a_function_is_a_field(mode, x64):
    block = ODEBlock(lambda t, z, rate: -rate * z, solve(mode))

    def loss(rate):
        return block(jnp.ones(3), rate)[0].sum()

    assert float(loss(jnp.array(0.7))) == pytest.approx(3 * np.exp(-0.7), rel=1e-6)
    assert float(jax.grad(loss)(jnp.array(0.7))) == pytest.approx(-3 * np.exp(-0.7), rel=1e-6)
    plain, _ = ODEBlock(lambda t, z: -z, solve(mode))(jnp.ones(3))
    np.testing.assert_allclose(plain, np.exp(-1), rtol=1e-6)


@pytest.mark.parametrize("mode", ["tape", "backsolve"])
def test_nnx_transformations_take_the_block(mode):
    block, z = ODEBlock(Spiral(), SolveConfig(gradient=mode)), jnp.asarray(STARTS, jnp.float32)

    @nnx.jit
    def step(block, z):
        return nnx.value_and_grad(lambda block: jnp.sum(block(z)[0] ** 2))(block)

    value, gradient = step(block, z)
    graph, params = nnx.split(ODEBlock(Spiral(), SolveConfig(gradient=mode)))
    expected, plain = jax.jit(
        jax.value_and_grad(lambda params: jnp.sum(nnx.merge(graph, params)(z)[0] ** 2))
    )(params)
    assert value == expected
    jax.tree.map(np.testing.assert_array_equal, dict(gradient), dict(plain))
    assert int(block.stats.get_value().nfe) > 0


def test_statistics_are_a_variable_of_their_own_kind():
    class Two(nnx.Module):
        def __init__(self):
            self.blocks = nnx.List([ODEBlock(Spiral()), ODEBlock(lambda t, z: 0 * z)])

        def __call__(self, z):
            for block in self.blocks:
                z, _ = block(z)
            return z

    model, z = Two(), jnp.asarray(STARTS, jnp.float32)
    assert solve_stats(model).nfe.shape == (0,)  # before the first call there are none
    paths = [path for path, _ in nnx.to_flat_state(nnx.state(model))]
    model(z)
    returned = Stats.chain([block(z)[1] for block in (ODEBlock(Spiral()), model.blocks[1])])
    jax.tree.map(np.testing.assert_array_equal, solve_stats(model), returned)
    found = [path for path, _ in nnx.to_flat_state(nnx.state(model, nnx.Param))]
    assert found == paths  # no parameter has another name

    graph, params, rest = nnx.split(Two(), nnx.Param, ...)

    @jax.jit
    def traced(params, rest):
        model = nnx.merge(graph, params, rest, copy=True)
        return model(z), solve_stats(model)

    jax.tree.map(np.testing.assert_array_equal, traced(params, rest)[1], returned)
    assert nnx.pop(model, SolveStats)
    assert not nnx.to_flat_state(nnx.state(model, SolveStats))


def test_statistics_are_not_written_through_a_transformation_that_closes_over_the_block():
    block = ODEBlock(Spiral())
    _, stats = jax.jit(lambda z: block(z))(jnp.asarray(STARTS, jnp.float32))
    assert int(stats.nfe) > 0
    assert not hasattr(block, "stats")


def test_per_sample_statistics_have_one_number_an_example():
    block = ODEBlock(Spiral(), SolveConfig(per_sample=True))
    for count in (2, 1):
        block(jnp.asarray(STARTS[:count], jnp.float32))
        assert solve_stats(block).nfe.shape == (1, count)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("compiled", [False, True])
def test_a_function_that_closes_over_what_is_differentiated_is_refused(mode, compiled):
    def loss(rate):
        return ODEBlock(lambda t, z: -rate * z, SolveConfig(gradient=mode))(jnp.ones(3))[0].sum()

    derivative = jax.jit(jax.grad(loss)) if compiled else jax.grad(loss)
    with pytest.raises(ConfigError, match=r"field must not close over .* nnx\.Module"):
        derivative(jnp.array(0.7))
    np.testing.assert_allclose(jax.jit(loss)(0.7), 3 * np.exp(-0.7), rtol=1e-2)  # no derivative


@pytest.mark.parametrize("mode", ["tape", "backsolve"])
def test_where_a_closure_cannot_be_seen_no_gradient_is_wrong(mode):
    def loss(rate):
        return ODEBlock(lambda t, z: -rate * z, solve(mode))(jnp.ones(3))[0].sum()

    derivative = jax.grad(jax.jit(loss))
    if mode == "backsolve":
        with pytest.raises(Exception, match="with respect to a closed-over value"):
            derivative(jnp.array(0.7))
    else:
        np.testing.assert_allclose(derivative(jnp.array(0.7)), -3 * np.exp(-0.7), rtol=1e-5)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ODEBlock(3), "field must be an nnx.Module or a function, got 3"),
        (lambda: ODEBlock(Spiral(), t0=1.0, t1=1.0), "t1 must differ from t0"),
        (lambda: ODEBlock(Spiral())(jnp.ones((1, 2)), 1.0), "args must be left out"),
    ],
)
def test_what_cannot_be_solved_is_refused(make, words, monkeypatch):
    # Types are checked before the block can refuse them, where tests check them at run time.
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(ConfigError, match=words):
        make()


def test_a_third_argument_with_a_default_may_be_left_out():
    block = ODEBlock(lambda t, z, rate=2.0: -rate * z, SolveConfig(rtol=1e-5, atol=1e-5))
    np.testing.assert_allclose(block(jnp.ones(1))[0], np.exp(-2), rtol=1e-4)
    np.testing.assert_allclose(block(jnp.ones(1), jnp.ones(()))[0], np.exp(-1), rtol=1e-4)


def test_states_at_many_times_and_torchdiffeqs_options():
    """Decay passes the same states whether a block is asked once or for each time."""
    config = SolveConfig("euler", step_size=0.5, stepping="torchdiffeq")
    block = ODEBlock(lambda t, z: -z, config, options=StepOptions(perturb=True))
    zs, stats = block(jnp.ones(2), ts=jnp.array([0.0, 0.5, 1.0]))
    np.testing.assert_allclose(zs[:, 0], [1, 0.5, 0.25])
    np.testing.assert_allclose(block(jnp.ones(2))[0], zs[-1])
    assert int(block.stats.get_value().accepted) == int(stats.accepted) == 2
    refused = ODEBlock(lambda t, z: -z, options=StepOptions(perturb=True))
    for ts in (None, [0.0, 0.5, 1.0]):
        with pytest.raises(ConfigError, match="options perturb need stepping torchdiffeq"):
            refused(jnp.ones(2), ts=ts)
