"""States at many times: exact answers, Euler's own sequence, gradients through all of them, costs, refusals."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from problems import PROBLEMS

from jaxode.config import ConfigError, SolveConfig
from jaxode.ode import SolveError, trajectory


def test_every_state_is_the_exact_one(x64):
    """dz/dt = 2 a t z from a start other than 0, in uneven intervals, there and back."""
    times, a, z0 = np.array([0.5, 0.6, 1.0, 1.05, 2.0]), np.array([0.5, -1.0]), np.array([1.0, 3.0])
    solve = jax.jit(
        lambda z, ts: trajectory(lambda t, z, a: 2 * a * t * z, z, a, SolveConfig(rtol=1e-9, atol=1e-9), ts),
        static_argnums=1,
    )
    states, stats = solve(z0, tuple(times))
    assert int(stats.check().accepted) > len(times)
    np.testing.assert_allclose(states, z0 * np.exp(a * (times**2 - 0.25)[:, None]), rtol=0, atol=1e-7)
    back, _ = solve(states[-1], tuple(times[::-1]))
    np.testing.assert_allclose(back, states[::-1], rtol=0, atol=1e-6)


@pytest.mark.parametrize("every", [1, 4])
def test_eulers_sequence_comes_out_to_the_last_bit(every, x64):
    """All numbers are dyadic, so that neither side rounds."""
    step, expected = 0.25, [2.0]
    for k in range(8):
        expected.append(expected[-1] + step * (k * step - expected[-1] / 2))
    config = SolveConfig(solver="euler", step_size=step)
    grid = np.arange(9)[::every] * step
    states, stats = trajectory(lambda t, z, a: t - z / 2, jnp.array(2.0), None, config, grid)
    assert states.tolist() == expected[::every]
    assert [int(count) for count in stats] == [8, 8, 0, 0]


def test_gradients_come_from_every_state(x64):
    """Under backsolve, which differentiates nothing that a field closes over."""
    problem = PROBLEMS[3]
    config = SolveConfig(rtol=1e-9, atol=1e-9, gradient="backsolve")
    weights = np.array([[1.0, -2.0], [0.5, 3.0], [-1.0, 1.0]])
    times = [0.0, 0.25, 1.0]

    def loss(z0, args):
        states, _ = trajectory(problem.field, z0, args, config, times)
        return jnp.sum(weights * states)

    def exact(z0, args):
        return jnp.sum(weights * jnp.stack([problem.exact(t, z0, args) for t in times]))

    found, expected = (jax.jit(jax.grad(f, (0, 1)))(problem.z0, problem.args) for f in (loss, exact))
    for got, want in zip(found, expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-6)


def test_images_keep_steps_of_their_own():
    z0 = jnp.array([[1.0], [100.0]])
    config = SolveConfig(rtol=1e-5, atol=1e-5, per_sample=True)
    states, stats = trajectory(lambda t, z, a: -z * z, z0, None, config, [0.0, 0.5, 1.0])
    np.testing.assert_allclose(states[:, :, 0], [[1, 100], [2 / 3, 100 / 51], [1 / 2, 100 / 101]], rtol=1e-3)
    assert int(stats.accepted[1]) > int(stats.accepted[0])


def test_a_failure_on_the_way_is_said():
    """The second solve, which is easy, does not hide that the first ran out of steps."""
    config = SolveConfig(max_steps=3, rtol=1e-6, atol=1e-6)
    field = lambda t, z, a: jnp.where(t < 1, jnp.cos(50 * t), 0) + 0 * z  # noqa: E731
    _, stats = trajectory(field, jnp.ones(2), None, config, [0.0, 1.0, 2.0])
    with pytest.raises(SolveError, match="max_steps"):
        stats.check()


@pytest.mark.parametrize(
    "ts", [[0.0], [[0.0, 1.0]], [0.0, 0.0, 1.0], [0.0, 1.0, 0.5], [0.0, np.inf], [np.nan, 1.0], []]
)
def test_times_that_do_not_run_one_way_are_refused(ts):
    with pytest.raises(ConfigError, match="ts must be two or more finite times"):
        trajectory(lambda t, z, a: z, jnp.ones(2), None, SolveConfig(), ts)


@pytest.mark.parametrize("ts", [[0.0, 0.25, 1.0], [0.0, 0.3, 0.6], [0.0, 0.1, 0.2]])
def test_times_off_a_fixed_grid_are_refused(ts):
    with pytest.raises(ConfigError, match=r"whole number of steps of step_size 0\.25"):
        trajectory(lambda t, z, a: z, jnp.ones(2), None, SolveConfig(solver="euler", step_size=0.25), ts)
