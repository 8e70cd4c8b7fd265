"""States at many times: exact answers, Euler's own sequence, gradients through all of them, costs,
refusals.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxode.checks import ConfigError
from jaxode.config import SolveConfig
from jaxode.ode import SolveError, trajectory

pytestmark = pytest.mark.typed


def test_every_state_is_the_exact_one(x64):
    """dz/dt = 2 a t z, backward from t = 2 in uneven intervals."""
    times, a, z0 = np.array([2.0, 1.05, 1.0, 0.6, 0.5]), np.array([0.5, -1.0]), np.array([1.0, 3.0])
    config = SolveConfig(rtol=1e-9, atol=1e-9)
    states, stats = trajectory(lambda t, z, a: 2 * a * t * z, z0, a, config, times)
    assert int(stats.check().accepted) > len(times)
    np.testing.assert_allclose(states, z0 * np.exp(a * (times**2 - 4)[:, None]), rtol=1e-7)


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
    """Three steps of 1/2 and their derivative by hand: z ← z (1 + a/2)."""
    config = SolveConfig(solver="euler", step_size=0.5)
    weights = jnp.array([1.0, -2.0, 0.5, 3.0])

    def loss(z0, a, config=config):
        return jnp.sum(
            weights * trajectory(lambda t, z, a: a * z, z0, a, config, [0.0, 0.5, 1.0, 1.5])[0]
        )

    powers, growth = np.arange(4), 1.4
    to_z0, to_a = jax.jit(jax.grad(loss, (0, 1)))(2.0, 0.8)
    np.testing.assert_allclose(to_z0, np.sum(weights * growth**powers), rtol=1e-13)
    np.testing.assert_allclose(
        to_a, np.sum(weights * 2 * powers / 2 * growth ** (powers - 1.0)), rtol=1e-13
    )
    # An adjoint solve closes over nothing that is differentiated and nothing of the scan: JAX says
    # so, once compiled.
    adjoint = SolveConfig(solver="euler", step_size=0.5, gradient="backsolve")
    jax.jit(jax.grad(lambda z0, a: loss(z0, a, adjoint), (0, 1))).lower(2.0, 0.8)


def test_images_keep_their_own_steps_and_the_first_failure_stays():
    """The second image runs out of steps before the time 1/2, and goes on from there without
    trouble.
    """
    config = SolveConfig(rtol=1e-5, atol=1e-5, per_sample=True, max_steps=8)
    z0 = jnp.array([[1.0], [100.0]])
    states, stats = trajectory(lambda t, z, a: -z * z, z0, None, config, [0.0, 0.5, 1.0, 1.5])
    np.testing.assert_allclose(states[:, 0, 0], [1, 2 / 3, 1 / 2, 2 / 5], rtol=1e-4)
    assert stats.failure.tolist() == [0, 1]
    assert int(stats.accepted[1]) > int(stats.accepted[0]) > 3
    with pytest.raises(SolveError, match="max_steps"):
        stats.check()


BAD_TIMES = [
    [0.0],
    [[0.0, 1.0]],
    [0.0, 0.0, 1.0],
    [0.0, 1.0, 0.5],
    [0.0, np.inf],
    [np.nan, 1.0],
    [],
]


@pytest.mark.parametrize("ts", BAD_TIMES, ids=str)
def test_times_that_do_not_run_one_way_are_refused(ts):
    with pytest.raises(ConfigError, match="ts must be two or more finite times"):
        trajectory(lambda t, z, a: z, jnp.ones(2), None, SolveConfig(), ts)


@pytest.mark.parametrize("ts", [[0.0, 0.25, 1.0], [0.0, 0.3, 0.6], [0.0, 0.1, 0.2]])
def test_times_off_a_fixed_grid_are_refused(ts):
    with pytest.raises(ConfigError, match=r"whole number of steps of step_size 0\.25"):
        trajectory(
            lambda t, z, a: z, jnp.ones(2), None, SolveConfig(solver="euler", step_size=0.25), ts
        )
