"""Regularisers of an ODE block: integrals, gradients in every mode, and nothing in evaluation."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy.integrate import solve_ivp

from jaxode.checks import ConfigError
from jaxode.config import SolveConfig
from jaxode.models import ContinuousFlow
from jaxode.nn import (
    ConvField,
    HyperField,
    ODEBlock,
    begin_training,
    end_training,
    kernels,
    native,
)
from jaxode.nn.fields import DenseField
from jaxode.nn.regularisation import Penalty
from jaxode.nn.regularised_field import (
    FieldInputs,
    RegularisedField,
    draw_gaussian,
    root_mean_square,
)
from jaxode.ode import odeint_with_errors
from jaxode.types import Training

RNG = np.random.default_rng(0)
POINTS = RNG.normal(size=(3, 4))
WEIGHTS = np.array([1.0, 1.0, 0.0])
"""The last is padding."""

T0, T1 = 0.8, -0.4
LOOSE = {"solver": "bosh3", "rtol": 1e-4, "atol": 1e-4}
FINE = {"rtol": 1e-8, "atol": 1e-8, "max_steps": 2000}
ALL = "kinetic=0.7,jacobian=0.3,steer=0.5,weight_decay=0.01"


def training(count=3, weights=None, seed=0):
    weights = jnp.ones(count) if weights is None else jnp.asarray(weights)
    return Training(jax.random.split(jax.random.key(seed), count), weights)


def dense():
    return DenseField(4, 6, rngs=nnx.Rngs(0), dtype=jnp.float64)


def block(regularise, field=None, **options):
    return ODEBlock(
        field or dense(), SolveConfig(**{**FINE, **options}, regularise=regularise), T0, T1
    )


def penalised(module, *inputs, weights=None, key=7):
    """Results of a call in training, and the penalty, in one program."""
    graph, state = nnx.split(module)

    @jax.jit
    def trained(state, first):
        module = nnx.merge(graph, state)
        begin_training(module, training(len(inputs[0]), weights), jax.random.key(key))
        found = module(first, *inputs[1:])
        return found[0], end_training(module)

    found, penalty = trained(state, inputs[0])
    return found, float(penalty)


def by_quadrature(field, z, end, rate):
    """∫ rate(t, z) |dt| along one sample's solution: SciPy's solve, Gauss's quadrature."""
    run = solve_ivp(
        lambda t, z: np.asarray(field(t, z[None]))[0], (T0, end), z,
        method="DOP853", rtol=1e-12, atol=1e-12, dense_output=True,
    )  # fmt: skip
    nodes, weights = np.polynomial.legendre.leggauss(30)
    times = (T0 + end) / 2 + (end - T0) / 2 * nodes
    values = [float(rate(t, run.sol(t))) for t in times]
    return abs(end - T0) / 2 * float(weights @ values)


def kinetic_rate(field):
    return lambda t, z: np.mean(np.asarray(field(t, z[None])) ** 2)


def jacobian_rate(field, noise):
    jacobian = jax.jit(jax.jacfwd(lambda z, t: field(t, z[None])[0]))
    return lambda t, z: np.mean((noise @ np.asarray(jacobian(z, t))) ** 2)


def noise_of(module):
    """ε as the next call in training will draw it."""
    begin_training(module, training(), jax.random.key(7))
    return np.asarray(draw_gaussian(module.draws.get_value().keys, jnp.asarray(POINTS)))


STEPS = [{}, {"stepping": "torchdiffeq"}, {"per_sample": True}]


@pytest.mark.parametrize("steps", STEPS, ids=str)
def test_integrals_equal_a_quadrature_of_the_solution(steps, x64):
    module = block("kinetic=0.7,jacobian=0.3", **steps)
    noise, field = noise_of(module), jax.jit(module.field)
    expected = 0.5 * sum(
        0.7 * by_quadrature(field, POINTS[i], T1, kinetic_rate(field))
        + 0.3 * by_quadrature(field, POINTS[i], T1, jacobian_rate(field, noise[i]))
        for i in range(2)
    )
    z, found = penalised(module, jnp.asarray(POINTS), weights=WEIGHTS)
    assert found == pytest.approx(expected, rel=1e-6)
    np.testing.assert_allclose(z, jax.jit(block(None, **steps))(POINTS)[0], atol=1e-7)


def test_the_mean_over_the_noise_is_the_frobenius_norm(x64):
    matrix = jnp.asarray(RNG.normal(size=(4, 4)))
    module = ODEBlock(
        lambda t, z: z @ matrix, SolveConfig("euler", step_size=1.0, regularise="jacobian=1")
    )
    count = 20_000
    _, found = penalised(module, jnp.zeros((count, 4)))
    squares = np.asarray(RNG.normal(size=(count, 4)) @ matrix.T) ** 2
    error = squares.mean(1).std() / np.sqrt(count)
    assert found == pytest.approx(float((matrix**2).sum()) / 4, abs=5 * error)


def test_steer_ends_elsewhere_and_the_integrals_with_it(x64):
    module = block("kinetic=1,steer=0.5")
    begin_training(module, training(), jax.random.key(3))
    draw = float(module.draws.get_value().end)
    end = T1 + 0.5 * draw
    assert abs(draw) > 0.01
    z, found = penalised(module, jnp.asarray(POINTS), key=3)
    there = jax.jit(ODEBlock(module.field, SolveConfig(**FINE), T0, end))(POINTS)[0]
    np.testing.assert_allclose(z, there, rtol=1e-6)
    field = jax.jit(module.field)
    energies = [by_quadrature(field, p, end, kinetic_rate(field)) for p in POINTS]
    assert found == pytest.approx(np.mean(energies), rel=1e-6)


def test_end_times_are_uniform_and_one_for_the_parts_of_a_batch():
    module = ODEBlock(lambda t, z: z, SolveConfig(regularise="steer=0.5"))

    def end(key, seed=0):
        begin_training(module, training(2, seed=seed), key)
        return float(module.draws.get_value().end)

    ends = np.array([end(jax.random.key(seed)) for seed in range(200)])
    assert np.abs(ends).max() < 1
    np.testing.assert_allclose(np.quantile(ends, [0.25, 0.5, 0.75]), [-0.5, 0, 0.5], atol=0.2)
    assert end(jax.random.key(0), seed=1) == ends[0]


def objective(graph, z):
    """A loss with everything in it, of parameters."""

    def loss(params):
        module = nnx.merge(graph, params)
        begin_training(module, training(), jax.random.key(3))
        out, _ = module(z)
        return end_training(module) + 0.1 * jnp.sum(out**2)

    return loss


def parameters(**options):
    return nnx.split(block(ALL, **{"solver": "bosh3", **options}), nnx.Param)


def along():
    """A direction in the space of the parameters."""
    rng, params = np.random.default_rng(1), parameters()[1]
    return jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape)), params)


@pytest.fixture(scope="module")
def central_difference():
    """Of the objective, along that direction."""
    with jax.enable_x64(True):
        graph, params = parameters(solver="dopri5", rtol=1e-10, atol=1e-10)
        loss = jax.jit(objective(graph, jnp.asarray(POINTS)))
        at = [
            float(loss(jax.tree.map(lambda leaf, by, h=h: leaf + h * by, params, along())))
            for h in (1e-4, -1e-4)
        ]
    return (at[0] - at[1]) / 2e-4


@pytest.mark.parametrize(
    "options",
    [
        {"gradient": "tape"},
        {"gradient": "replay"},
        {"gradient": "direct"},
        {"gradient": "backsolve"},
        {"gradient": "tape", "per_sample": True},
        {"gradient": "backsolve", "stepping": "torchdiffeq", "solver": "dopri5"},
    ],
    ids=lambda options: "-".join(map(str, options.values())),
)
def test_gradients_equal_finite_differences_in_every_mode(options, central_difference, x64):
    graph, params = parameters(**options)
    gradient = jax.jit(jax.grad(objective(graph, jnp.asarray(POINTS))))(params)
    products = jax.tree.map(jnp.vdot, gradient, along())
    found = float(sum(jax.tree.leaves(products)))
    assert found == pytest.approx(central_difference, rel=1e-5)


@pytest.mark.parametrize("regularise", [ALL, "kinetic=0"])
def test_evaluation_has_the_bits_of_a_block_without(regularise, x64):
    module = block(regularise)
    if regularise == "kinetic=0":
        begin_training(module, training(), jax.random.key(0))
        assert not hasattr(module, "draws")
    else:
        begin_training(module, training(), jax.random.key(7))
        nnx.jit(lambda module, z: module(z))(module, POINTS)
        end_training(module)
    found, stats = jax.jit(lambda z: module(z))(jnp.asarray(POINTS))
    expected, other = jax.jit(lambda z: block(None)(z))(jnp.asarray(POINTS))
    assert np.asarray(found).tobytes() == np.asarray(expected).tobytes()
    assert stats.nfe == other.nfe
    assert not nnx.to_flat_state(nnx.state(module, Penalty))


def test_weight_decay_is_of_weights_alone_and_counts_a_part_of_a_batch_as_one(x64):
    module = block("weight_decay=0.2", solver="euler", step_size=0.5)
    layers = [module.field.linear1, module.field.linear2, module.field.linear3]
    whole = 0.1 * sum(float((layer.kernel[...] ** 2).sum()) for layer in layers)
    assert penalised(module, jnp.asarray(POINTS))[1] == pytest.approx(whole, rel=1e-12)
    parts = 0.0
    for rows in (slice(0, 1), slice(1, 3)):
        z = jnp.asarray(POINTS[rows])
        begin_training(module, training(len(z)), jax.random.key(0), jnp.array(3.0))
        module(z)
        parts += float(end_training(module))
    assert parts == pytest.approx(whole, rel=1e-12)


def test_states_of_several_arrays_arguments_and_many_times(x64):
    """Position and velocity of a free particle: the energy is that of both."""

    def field(t, z, push):
        return {"velocity": push * jnp.ones_like(z["velocity"]), "position": z["velocity"]}

    z = {"position": jnp.zeros((2, 1)), "velocity": jnp.ones((2, 1))}
    module = ODEBlock(field, SolveConfig(rtol=1e-6, atol=1e-6, regularise="kinetic=1,jacobian=1"))
    begin_training(module, training(2), jax.random.key(0))
    noise = draw_gaussian(module.draws.get_value().keys, z)["position"]
    module(z, jnp.array(2.0))
    once = float(end_training(module))
    # (2² + (1 + 2 t)²) / 2 over t, and ε of the position alone: ∂(position')/∂velocity = 1.
    energy, norm = (4 + 13 / 3) / 2, float((noise**2).mean()) / 2
    assert once == pytest.approx(energy + norm, rel=1e-6)
    begin_training(module, training(2), jax.random.key(0))
    states, _ = module(z, jnp.array(2.0), ts=[0.0, 0.3, 1.0])
    assert states["position"].shape == (3, 2, 1)
    assert float(end_training(module)) == pytest.approx(once, rel=1e-6)


@pytest.mark.parametrize("steps", [{}, {"per_sample": True}], ids=str)
def test_a_flow_is_regularised_where_its_points_are(steps, x64):
    """Neither the log-density nor its divergence is part of a penalty."""
    field = HyperField(2, 4, 8, rngs=nnx.Rngs(0), dtype=jnp.float64)
    x = jnp.asarray(POINTS[:, :2])
    solve = SolveConfig(**FINE, **steps, regularise="kinetic=1,jacobian=1")
    flow = ContinuousFlow(field, 2, solve, data_time=T0, base_time=T1)
    alone = ODEBlock(field, solve, T0, T1)
    log_p, found = penalised(flow, x)
    assert found == pytest.approx(penalised(alone, x)[1], rel=1e-6)
    assert found > 1e-3
    np.testing.assert_allclose(log_p, jax.jit(flow)(x)[0], rtol=1e-6)


@pytest.mark.skipif(not native.load(), reason="the C++ kernels are not built")
def test_layers_in_cpp_have_matrix_products_where_a_derivative_is_differentiated():
    losses = []
    for chosen in (kernels.NATIVE, kernels.MATMUL):
        field = ConvField(8, kernels=chosen, rngs=nnx.Rngs(0))
        module = ODEBlock(field, SolveConfig("heun", step_size=0.5, regularise="jacobian=1"))
        z = jnp.asarray(np.random.default_rng(0).normal(size=(3, 4, 4, 8)), jnp.float32)
        graph, params = nnx.split(module, nnx.Param)
        losses.append(jax.jit(jax.value_and_grad(objective(graph, z)))(params))
        assert module.field.conv1.kernels is chosen
    for one, other in zip(*map(jax.tree.leaves, losses), strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-4, atol=1e-5)


def test_a_steered_flow_has_points_on_the_way_in_evaluation(x64):
    field = HyperField(2, 4, 8, rngs=nnx.Rngs(0), dtype=jnp.float64)
    coarse = SolveConfig("euler", step_size=0.5, regularise="steer=0.9")
    flow, x = ContinuousFlow(field, 2, coarse), jnp.asarray(POINTS[:, :2])
    plain = ContinuousFlow(field, 2, SolveConfig("euler", step_size=0.5))
    for call in ("log_prob", "encode", "decode"):
        found, expected = (getattr(each, call)(x, along=0.5)[0] for each in (flow, plain))
        np.testing.assert_array_equal(found, expected)
    with pytest.raises(ConfigError, match=r"steer must be below the length of the solve, 0\.5"):
        ContinuousFlow(field, 2, coarse, base_time=0.5)


def errors_of(field, z):
    """Each sample's sum of |h| times the root mean square of the error estimate."""

    def measure(error):
        error = error[0] if isinstance(error, tuple) else error
        return jnp.sqrt(jnp.mean(error**2, 1))

    return odeint_with_errors(
        lambda t, z, _: field(t, z), z, None, SolveConfig(**LOOSE), measure=measure, t0=T0, t1=T1
    )[1]


@pytest.mark.parametrize("steer", [0.0, 0.5])
def test_the_solvers_error_is_penalised_in_the_time_that_was_taken(steer, x64):
    """STEER runs a faster or slower field over the same times."""
    module, z = block(f"error=100,steer={steer}", **LOOSE), jnp.asarray(POINTS)
    begin_training(module, training(), jax.random.key(3))
    speed = 1 + steer * float(module.draws.get_value().end) / (T1 - T0)
    assert steer == 0 or abs(speed - 1) > 0.01
    _, found = penalised(module, z, weights=WEIGHTS, key=3)
    errors = errors_of(lambda t, z: speed * module.field(T0 + speed * (t - T0), z), z)
    assert found == pytest.approx(100 * speed * float(errors[:2].mean()), rel=1e-9)
    assert found > 1e-4


def test_a_field_that_is_zero_has_a_derivative_of_its_error():
    rows = jnp.array([[0.0, 0.0], [3.0, 4.0]])
    found, slopes = jax.value_and_grad(lambda z: root_mean_square(z).sum())(rows)
    assert float(found) == pytest.approx(12.5**0.5)
    np.testing.assert_allclose(slopes, rows / (2 * 12.5**0.5), rtol=1e-6)


def test_the_error_of_other_integrals_is_not_penalised(x64):
    z = jnp.asarray(POINTS)
    _, energy = penalised(block("kinetic=1", **LOOSE), z)
    module = block("kinetic=1,error=100", **LOOSE)
    _, both = penalised(module, z)
    augmented = RegularisedField(module.field, ("kinetic",), T0)
    inputs = FieldInputs(None, None, None)
    errors = errors_of(lambda t, s: augmented(t, s, inputs), augmented.augmented(z))
    assert both - energy == pytest.approx(100 * float(errors.mean()), rel=1e-9)


def steered(**options):
    return ODEBlock(lambda t, z: -z, SolveConfig(regularise="steer=1.5,kinetic=1"), **options)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda: penalised(steered(), jnp.ones((3, 2))),
            "steer must be below the length .* 1, got",
        ),
        (
            lambda: penalised(steered(t1=2.0), jnp.ones((3, 2)), None, [0.0, 1.0]),
            "steer needs a solve from t0 to t1, without ts",
        ),
        (
            lambda: penalised(block("weight_decay=1", lambda t, z: -z), jnp.ones((3, 2))),
            "weight_decay needs a field that is an nnx.Module with weights",
        ),
        (
            lambda: penalised(block("kinetic=1", lambda t, z: z), (jnp.ones(2), jnp.ones(3))),
            "regularise must be for a state of 2 samples",
        ),
        (
            lambda: SolveConfig(gradient="direct", per_sample=True, regularise="jacobian=1"),
            "jacobian with per_sample needs gradient tape or replay, got direct",
        ),
        (
            lambda: SolveConfig("rk4", step_size=0.1, regularise="error=1"),
            "regularise error needs adaptive steps",
        ),
        (
            lambda: SolveConfig(gradient="backsolve", regularise="error=1"),
            "error needs gradient tape, .* got backsolve, whose backward solve does not see",
        ),
        (
            lambda: penalised(block("error=1", lambda t, z: z), (jnp.ones(2), jnp.ones(3))),
            "regularise must be for a state of 2 samples",
        ),
    ],
)
def test_what_cannot_be_regularised_is_refused_in_one_line(make, words):
    with pytest.raises(ConfigError, match=words) as found:
        make()
    assert "\n" not in str(found.value)


def test_a_penalty_that_would_be_lost_is_an_error():
    module = ODEBlock(lambda t, z: -z, SolveConfig(regularise="kinetic=1"))
    begin_training(module, training(), jax.random.key(0))
    with pytest.raises(ConfigError, match="as an argument of every transformation"):
        jax.jit(lambda z: module(z)[0])(jnp.ones((3, 2)))
