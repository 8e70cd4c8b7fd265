"""Per-sample step sizes: each example as if it were solved alone, in float64."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxode.checks import ConfigError
from jaxode.config import SolveConfig
from jaxode.ode import odeint

pytestmark = pytest.mark.typed

SETTINGS = {"rtol": 1e-3, "atol": 1e-3, "max_steps": 32, "tape_steps": 3}


def pulse(t, z, args):
    """A pulse around t = 0.5, so that first steps are too long."""
    weights, bias = args
    return (
        4 * jnp.exp(-100 * (t - 0.5) ** 2) * jnp.tanh(z @ weights + t * bias)
        + 0.1 * z * jnp.sin(9 * z * t)
        - 0.2 * z
    )


def smooth(t, z, args):
    """Without the pulse, which a backward solve would have to find too."""
    weights, bias = args
    return jnp.tanh(z @ weights + t * bias) - z * t


def drawn():
    """Three images of different sizes, so that they need different steps, and arguments."""
    rng = np.random.default_rng(0)
    z0 = rng.normal(size=(3, 3)) * np.array([[0.1], [8.0], [3.0]])
    return jnp.asarray(z0), (jnp.asarray(rng.normal(size=(3, 3))), jnp.asarray(rng.normal(size=3)))


def solver(config, field):
    """z0, args → ((loss, (state at the end, statistics)), gradients by state and arguments),
    compiled.
    """

    def loss(z0, args):
        z1, stats = odeint(field, z0, args, config)
        return jnp.sum(jnp.sin(z1)), (z1, stats)

    return jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))


def assert_near(got, want, bound=1e-12):
    got, want = (
        np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)]) for tree in (got, want)
    )
    assert np.isfinite(want).all()
    assert np.abs(got - want).max() <= bound * np.abs(want).max()


def assert_as_alone(config, field, z0, args):
    """Every image's state, statistics and gradient; and the sum of the gradients by arguments.

    Returns statistics.
    """
    (_, (z1, stats)), (to_z0, to_args) = solver(config, field)(z0, args)
    by_itself = solver(replace(config, per_sample=False), field)
    alone = [by_itself(z0[i : i + 1], args) for i in range(len(z0))]
    for i, ((_, (own_z1, own_stats)), (own_to_z0, _)) in enumerate(alone):
        assert [int(counts[i]) for counts in stats] == [int(count) for count in own_stats]
        assert_near(z1[i], own_z1[0])
        assert_near(to_z0[i], own_to_z0[0])
    assert_near(to_args, jax.tree.map(lambda *parts: sum(parts), *(found[1][1] for found in alone)))
    return stats.check()


CASES = [
    ("tape", "dopri5", "diffrax", pulse),
    ("tape", "heun", "diffrax", pulse),
    ("tape", "bosh3", "torchdiffeq", pulse),
    ("replay", "dopri5", "torchdiffeq", pulse),
    ("direct", "bosh3", "torchdiffeq", pulse),
    ("checkpointed", "kvaerno3", "diffrax", smooth),
    ("backsolve", "bosh3", "torchdiffeq", smooth),
]


@pytest.mark.parametrize(
    ("gradient", "name", "stepping", "field"),
    CASES,
    ids=lambda value: getattr(value, "__name__", value),
)
def test_each_image_is_as_if_alone(gradient, name, stepping, field, x64):
    changes = {"heun": {"rtol": 2e-2, "atol": 2e-2}, "dopri5": {"tape_steps": 32}}
    settings = SETTINGS | changes.get(name, {})
    config = SolveConfig(
        **settings, solver=name, gradient=gradient, stepping=stepping, per_sample=True
    )
    stats = assert_as_alone(config, field, *drawn())
    assert len(set(stats.nfe.tolist())) > 1
    assert field is smooth or stats.rejected.sum() > 0
    assert gradient != "tape" or name == "dopri5" or stats.accepted.max() > SETTINGS["tape_steps"]


def test_fixed_steps_are_those_of_the_joint_solve(x64):
    config = SolveConfig(**SETTINGS, solver="rk4", step_size=0.15, per_sample=True)
    ours, joint = (solver(c, pulse)(*drawn()) for c in (config, replace(config, per_sample=False)))
    assert ours[0][1][1].nfe.tolist() == 3 * [int(joint[0][1][1].nfe)]
    assert_near((ours[0][1][0], ours[1]), (joint[0][1][0], joint[1]))


def test_what_is_not_finite_beside_the_steps_reaches_no_gradient(x64):
    """Roots of negative numbers: in a step that the other image accepts, and after the end."""

    def field(t, z, rate):
        return -rate * 20 * jnp.exp(-200 * (t - 0.5) ** 2) * jnp.sqrt(z) * jnp.sqrt(1 - t)

    config = SolveConfig(**SETTINGS | {"tape_steps": 32}, per_sample=True)
    stats = assert_as_alone(config, field, jnp.array([[1.0, 2.0], [40.0, 90.0]]), jnp.asarray(0.7))
    assert stats.rejected.tolist()[0] > 0


@pytest.fixture(scope="module")
def cubic():
    """A field that ends at t = 0.3 for large states; small ones take many steps more than it takes
    to find out.
    """

    def field(t, z, rate):
        return jnp.where(z > 10, jnp.where(t > 0.3, jnp.nan, 0 * z), rate * z**3)

    with jax.enable_x64(True):
        config = SolveConfig(rtol=1e-11, atol=1e-11, max_steps=512, per_sample=True)
        work = solver(config, field)
        yield lambda *starts: work(jnp.asarray(starts)[:, None], jnp.asarray(0.5))


@pytest.mark.parametrize("neighbour", [0.3, 50.0, np.nan])
def test_an_image_knows_nothing_of_its_neighbours(neighbour, cubic, x64):
    (_, (z1, stats)), (to_z0, _) = cubic(0.99, neighbour)
    (_, (want, want_stats)), (want_to_z0, _) = cubic(0.99, 0.1)
    assert (z1[0], to_z0[0]) == (want[0], want_to_z0[0])
    assert [int(counts[0]) for counts in stats] == [int(counts[0]) for counts in want_stats]
    if neighbour != 0.3:
        (_, (_, lost)), _ = cubic(neighbour, neighbour)
        assert [int(counts[1]) for counts in stats] == [int(counts[1]) for counts in lost]
    assert (int(stats.failure[0]), int(stats.failure[1]) > 0) == (0, neighbour != 0.3)


def test_one_backsolve_that_does_not_reach_the_start_spoils_its_image_and_the_parameters(x64):
    settings = {
        "rtol": 1e-3,
        "atol": 1e-3,
        "backward_rtol": 1e-9,
        "backward_atol": 1e-9,
        "max_steps": 30,
    }
    config = SolveConfig(**settings, gradient="backsolve", solver="bosh3", per_sample=True)
    z0 = jnp.array([[0.1], [4.0]])
    (_, (_, stats)), (to_z0, to_rate) = solver(config, lambda t, z, a: -a * z**3)(
        z0, jnp.asarray(0.5)
    )
    stats.check()
    assert np.isfinite(to_z0).ravel().tolist() == [True, False]
    assert np.isnan(to_rate)


@pytest.mark.parametrize("z0", [1.0, {"x": np.ones((2, 3))}], ids=["number", "tree"])
def test_a_state_without_images_is_refused(z0):
    with pytest.raises(ConfigError, match="z0 must be one array"):
        odeint(lambda t, z, a: z, z0, None, SolveConfig(per_sample=True))
