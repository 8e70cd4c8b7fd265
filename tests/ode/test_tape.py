"""Our own gradient modes against Diffrax's `direct`: the same steps, answers and gradients, in float64."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxode.config import ADAPTIVE_IN_BOTH, FIXED_STEP_ONLY, ConfigError, SolveConfig
from jaxode.ode import odeint

OURS = [{"gradient": "tape", "tape_steps": 3}, {"gradient": "replay"}]
ADAPTIVE = ["midpoint", "heun", "bosh3", "dopri5", "tsit5", "dopri8"]
FIXED = [*FIXED_STEP_ONLY, "midpoint", "dopri5"]  # dopri5: an FSAL method on a fixed grid


def field(t, z, args):
    """A pulse around t = 0.5, so that first steps are too long; a tree of states; an argument without derivative."""
    weights, bias, power = args
    pulse = jnp.exp(-40 * (t - 0.5) ** 2)
    turned = jnp.tanh(z["x"] @ weights + t * bias) ** power
    return {"x": 3 * pulse * turned + 0.1 * z["y"].sum(), "y": -jnp.sin(3 * t) * z["y"] * z["x"].mean()}


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
        got, want = (np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)]) for tree in (got, want))
        assert np.abs(got - want).max() <= bound * np.abs(want).max()


CASES = [(name, None, "diffrax") for name in ADAPTIVE]
CASES += [(name, None, "torchdiffeq") for name in ADAPTIVE_IN_BOTH]
CASES += [(name, 0.15, "diffrax") for name in FIXED] + [("rk4", 0.15, "torchdiffeq")]


@pytest.mark.parametrize(("name", "step_size", "stepping"), CASES)
def test_steps_answers_and_gradients_are_those_of_direct(name, step_size, stepping, x64):
    tolerance = 1e-2 if name in ("midpoint", "heun") else 1e-4
    settings = {"solver": name, "step_size": step_size, "stepping": stepping, "rtol": tolerance, "atol": tolerance}
    theirs = solved(SolveConfig(**settings, gradient="direct", max_steps=64))
    assert theirs[1].check().accepted > 3  # more than the tape holds
    assert step_size is not None or theirs[1].rejected > 0
    for ours in OURS if step_size is None else OURS[:1]:
        assert_alike(solved(SolveConfig(**settings, **ours, max_steps=64)), theirs)


@pytest.mark.parametrize("stepping", ["diffrax", "torchdiffeq"])
def test_time_may_run_backward(stepping, x64):
    settings = {"stepping": stepping, "max_steps": 32}
    theirs = solved(SolveConfig(**settings, gradient="direct"), (1.2, -0.3))
    assert_alike(solved(SolveConfig(**settings, tape_steps=2), (1.2, -0.3)), theirs)


@pytest.mark.parametrize("spare", [-1, 0, 1])
def test_a_tape_just_long_enough(spare, x64):
    theirs = solved(SolveConfig(gradient="direct", stepping="torchdiffeq", max_steps=32))
    steps = int(theirs[1].accepted) + spare
    assert_alike(solved(SolveConfig(stepping="torchdiffeq", tape_steps=steps, max_steps=32)), theirs)


@pytest.mark.parametrize("mode", OURS, ids=["tape", "replay"])
def test_failures_are_those_of_direct(mode):
    hard = {"max_steps": 4, "rtol": 1e-6, "atol": 1e-6}
    bad = lambda t, z, a: jnp.where(t > 0.5, jnp.nan, z)  # noqa: E731
    steep = lambda t, z, a: z * z  # noqa: E731
    for z0, f, settings, code in [
        (jnp.ones(2), lambda t, z, a: jnp.cos(50 * t) + z, hard, 1),
        (jnp.ones(2), bad, {}, 2),
        (jnp.full(1, 2.0), steep, {"max_steps": 4000}, None),
    ]:
        ours, theirs = (
            odeint(f, z0, None, SolveConfig(**settings, **each))[1] for each in (mode, {"gradient": "direct"})
        )
        assert [int(v) for v in ours] == [int(v) for v in theirs]
        assert int(ours.failure) in ([code] if code else [2, 3])


def test_what_a_field_closes_over_has_a_gradient_too(x64):
    def loss(rate, gradient):
        return jnp.sum(odeint(lambda t, z, a: -rate * z, jnp.ones(2), None, SolveConfig(gradient=gradient))[0])

    ours, theirs = (jax.grad(loss)(0.7, gradient) for gradient in ("tape", "direct"))
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_gradients_can_be_mapped_over_starts(x64):
    """Elements take different numbers of steps."""

    def loss(z, gradient):
        return jnp.sum(odeint(lambda t, y, a: -y * y, z, None, SolveConfig(gradient=gradient, tape_steps=2))[0])

    starts = jnp.array([[1.0], [100.0]])
    ours, theirs = (jax.vmap(jax.grad(partial(loss, gradient=g)))(starts) for g in ("tape", "direct"))
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)


@pytest.mark.parametrize("mode", OURS, ids=["tape", "replay"])
def test_float32_stays_float32(mode):
    ours = solved(SolveConfig(**mode))
    assert {leaf.dtype for leaf in jax.tree.leaves((ours[0], ours[2]))} == {jnp.dtype("float32")}
    assert_alike(ours, solved(SolveConfig(gradient="direct", max_steps=32)), 1e-5)


@pytest.mark.parametrize("mode", ["tape", "replay"])
def test_implicit_solvers_are_refused(mode):
    with pytest.raises(ConfigError, match="explicit solver, got kvaerno3"):
        SolveConfig(solver="kvaerno3", gradient=mode)


@pytest.mark.parametrize("steps", [0, -1, 1.5, True])
def test_an_impossible_tape_is_refused(steps):
    with pytest.raises(ConfigError, match="tape_steps must be a whole number of at least 1"):
        SolveConfig(tape_steps=steps)
