"""Our own gradient modes against Diffrax's `direct`: the same steps, answers and gradients, in
float64.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxode.checks import ConfigError
from jaxode.config import SolveConfig
from jaxode.ode import odeint


def field(t, z, args):
    """A pulse around t = 0.5, so that first steps are too long; a tree of states; an argument
    without derivative.
    """
    weights, bias, power = args
    pulse = jnp.exp(-100 * (t - 0.5) ** 2)
    turned = jnp.tanh(z["x"] @ weights + t * bias) ** power
    return {
        "x": 4 * pulse * turned + 0.1 * z["y"].sum(),
        "y": -jnp.sin(3 * t) * z["y"] * z["x"].mean(),
    }


def drawn():
    rng = np.random.default_rng(0)
    z0 = {"x": rng.normal(size=(3, 4)), "y": rng.normal(size=2)}
    args = rng.normal(size=(4, 4)), rng.normal(size=4)
    return jax.tree.map(jnp.asarray, (z0, args))


def solved(config, span=(0.0, 1.0), field=field):
    """State at the end, its statistics, and gradients by state and arguments."""
    z0, args = drawn()

    @partial(jax.value_and_grad, argnums=(0, 1), has_aux=True)
    def loss(z0, args):
        z1, stats = odeint(field, z0, (*args, 3), config, t0=span[0], t1=span[1])
        return jnp.sum(jnp.sin(z1["x"])) + jnp.sum(z1["y"] * jnp.array([1.0, -2.0])), (z1, stats)

    (_, (z1, stats)), gradients = jax.jit(loss)(z0, args)
    return z1, stats, gradients


def assert_alike(ours, theirs, bound=1e-12):
    assert [int(v) for v in ours[1]] == [int(v) for v in theirs[1]]
    for got, want in ((ours[0], theirs[0]), (ours[2], theirs[2])):
        got, want = (
            np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])
            for tree in (got, want)
        )
        assert np.abs(got - want).max() <= bound * np.abs(want).max()


FORWARD, BACKWARD = (0.0, 1.0), (1.2, -0.3)
CASES = [
    ("midpoint", None, "diffrax", FORWARD),
    ("bosh3", None, "diffrax", FORWARD),
    ("tsit5", None, "diffrax", BACKWARD),
    ("dopri5", None, "diffrax", BACKWARD),
    ("dopri8", None, "diffrax", FORWARD),
    ("bosh3", None, "torchdiffeq", FORWARD),
    ("dopri5", None, "torchdiffeq", BACKWARD),
    ("dopri8", None, "torchdiffeq", FORWARD),
    ("euler", 0.15, "diffrax", FORWARD),
    ("heun", 0.15, "diffrax", BACKWARD),
    ("heun3", 0.15, "diffrax", FORWARD),
    ("rk4", 0.15, "torchdiffeq", FORWARD),
    ("dopri5", 0.15, "diffrax", FORWARD),
]
REPLAYED = [("midpoint", "diffrax"), ("tsit5", "diffrax"), ("dopri5", "torchdiffeq")]


@pytest.mark.parametrize(("name", "step_size", "stepping", "span"), CASES)
def test_steps_answers_and_gradients_are_those_of_direct(name, step_size, stepping, span, x64):
    tolerance = 5e-2 if name == "midpoint" else 1e-2
    settings = {
        "solver": name,
        "step_size": step_size,
        "stepping": stepping,
        "rtol": tolerance,
        "atol": tolerance,
    }
    theirs = solved(SolveConfig(**settings, gradient="direct", max_steps=16), span)
    assert theirs[1].check().accepted > 2  # more than the tape holds
    assert step_size is not None or theirs[1].rejected > 0
    assert_alike(
        solved(SolveConfig(**settings, gradient="tape", tape_steps=2, max_steps=16), span), theirs
    )
    if step_size is None and (name, stepping) in REPLAYED:
        assert_alike(solved(SolveConfig(**settings, gradient="replay", max_steps=16), span), theirs)


@pytest.fixture(scope="module")
def taped():
    """A solve by `direct` and its settings."""
    settings = {"stepping": "torchdiffeq", "max_steps": 16, "rtol": 1e-2, "atol": 1e-2}
    with jax.enable_x64(True):
        return settings, solved(SolveConfig(**settings, gradient="direct"))


@pytest.mark.parametrize("spare", [-1, 0, 1])
def test_a_tape_just_long_enough(spare, taped, x64):
    settings, theirs = taped
    assert_alike(
        solved(SolveConfig(**settings, tape_steps=int(theirs[1].accepted) + spare)), theirs
    )


@pytest.mark.parametrize(
    ("field", "settings", "codes"),
    [
        (lambda t, z, a: jnp.cos(50 * t) + z, {"max_steps": 4, "rtol": 1e-6, "atol": 1e-6}, [1]),
        (lambda t, z, a: jnp.where(t > 0.5, jnp.nan, z), {}, [2]),
        (lambda t, z, a: z * z, {}, [2, 3]),  # infinite at t = 1/2
    ],
    ids=["max_steps", "nan", "singularity"],
)
def test_failures_are_those_of_direct(field, settings, codes):
    ours, theirs = (
        odeint(field, jnp.full(1, 2.0), None, SolveConfig(**settings, gradient=gradient))[1]
        for gradient in ("tape", "direct")
    )
    assert [int(v) for v in ours] == [int(v) for v in theirs]
    assert int(ours.failure) in codes


def test_what_a_field_closes_over_has_a_gradient_too(x64):
    def loss(rate, gradient):
        return jnp.sum(
            odeint(
                lambda t, z, a: -rate * z,
                jnp.ones(2),
                None,
                SolveConfig(gradient=gradient, max_steps=16),
            )[0]
        )

    ours, theirs = (jax.grad(loss)(0.7, gradient) for gradient in ("tape", "direct"))
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_gradients_can_be_mapped_over_starts(x64):
    """Elements take different numbers of steps."""

    def loss(z, gradient):
        config = SolveConfig(gradient=gradient, tape_steps=2, rtol=1e-6, atol=1e-6, max_steps=16)
        return jnp.sum(odeint(lambda t, y, a: -y * y, z, None, config)[0])

    starts = jnp.array([[0.2], [2.0]])
    ours, theirs = (
        jax.vmap(jax.grad(partial(loss, gradient=g)))(starts) for g in ("tape", "direct")
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_float32_stays_float32():
    ours, theirs = (solved(SolveConfig(gradient=g, max_steps=16)) for g in ("tape", "direct"))
    assert {leaf.dtype for leaf in jax.tree.leaves((ours[0], ours[2]))} == {jnp.dtype("float32")}
    assert_alike(ours, theirs, 1e-5)


@pytest.mark.parametrize("mode", ["tape", "replay"])
def test_implicit_solvers_are_refused(mode):
    with pytest.raises(ConfigError, match="explicit solver, got kvaerno3"):
        SolveConfig(solver="kvaerno3", gradient=mode)


@pytest.mark.parametrize("steps", [0, -1, 1.5, True])
def test_an_impossible_tape_is_refused(steps):
    with pytest.raises(ConfigError, match="tape_steps must be a whole number from 1 to"):
        SolveConfig(tape_steps=steps)
