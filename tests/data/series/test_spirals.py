"""Spirals as torchdiffeq's latent_ode.py draws them."""

import numpy as np
import pytest

from jaxode.checks import ConfigError
from jaxode.data.series import draw_spirals


@pytest.fixture(scope="module")
def spirals():
    return draw_spirals(2000, seed=1)


def test_trajectories_are_those_of_the_formula(spirals):
    theta = np.linspace(0, 6 * np.pi, 500)
    for label, angle, radius, centre in (
        (0, 6 * np.pi + 1 - theta, 15 / (6 * np.pi + 1 - theta), -5),
        (1, theta, 0.3 * theta, 5),
    ):
        some = spirals.trajectories[spirals.series.labels == label]
        x, y = radius * np.cos(angle) + centre, radius * np.sin(angle)
        np.testing.assert_allclose(some[0], np.stack([x, y], 1), atol=1e-5)
        np.testing.assert_array_equal(some[-1], some[0])


def test_one_half_turns_the_other_way(spirals):
    """The sign of the cross product of a step and the next is that of the turn."""
    steps = np.diff(spirals.trajectories.astype(float), axis=1)
    turn = steps[:, :-1, 0] * steps[:, 1:, 1] - steps[:, :-1, 1] * steps[:, 1:, 0]
    assert (turn[spirals.series.labels == 0] < 0).mean() > 0.99
    assert (turn[spirals.series.labels == 1] > 0).mean() > 0.99
    assert abs(spirals.series.labels.mean() - 0.5) < 5 * 0.5 / np.sqrt(2000)


def test_observations_are_the_window_and_noise(spirals):
    for row in (0, 7):
        start = spirals.starts[row]
        expected = spirals.trajectories[row, start : start + 100]
        np.testing.assert_array_equal(spirals.truth[row], expected)
    noise = spirals.series.values - spirals.truth
    assert noise.std() == pytest.approx(0.1, rel=0.01)
    assert abs(noise.mean()) < 1e-3
    steps = 6 * np.pi / 499 * np.arange(100)
    np.testing.assert_allclose(spirals.series.times, np.tile(steps, (2000, 1)), rtol=1e-6)


@pytest.mark.parametrize(("beyond", "last"), [(0, 39), (10, 29)])
def test_windows_start_anywhere_but_near_the_ends(beyond, last):
    starts = draw_spirals(5000, points=50, window=10, beyond=beyond, seed=2).starts
    counts = np.bincount(starts)
    assert len(counts) == last + 1
    mean = 5000 / (last - 9)
    assert counts[:10].tolist() == [0] * 10
    assert np.abs(counts[10:] - mean).max() < 5 * np.sqrt(mean)


def test_the_error_beyond_the_window_is_against_the_truth():
    spirals = draw_spirals(20, beyond=100, seed=4)
    assert spirals.times.shape == (200,)
    seen = spirals.observed_at(30, seed=5)
    assert seen.series.lengths.tolist() == [30] * 20
    assert set(seen.series.times.ravel()) <= set(spirals.times[:100])
    assert not np.array_equal(seen.series.times[0], seen.series.times[1])
    beyond = seen.trajectories[3, seen.starts[3] + 100 : seen.starts[3] + 200]
    np.testing.assert_array_equal(seen.truth[3, 100:], beyond)
    assert seen.rmse_beyond(seen.truth[:, 100:] + 0.25) == pytest.approx(0.25, rel=1e-5)
    part = seen.take([3, 1])
    np.testing.assert_array_equal(part.truth, seen.truth[[3, 1]])
    np.testing.assert_array_equal(part.series.values, seen.series.values[[3, 1]])


def test_a_draw_is_a_function_of_the_seed():
    one, same, other = (draw_spirals(5, seed=seed).series.values for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: draw_spirals(0), "count"),
        (lambda: draw_spirals(1, points=200, window=100), "points must be at least 201"),
        (lambda: draw_spirals(1, beyond=300), "points must be at least 501"),
        (lambda: draw_spirals(1, beyond=-1), "beyond"),
        (lambda: draw_spirals(1, noise=-0.1), "noise"),
        (lambda: draw_spirals(1, seed=-1), "seed"),
        (lambda: draw_spirals(1).observed_at(101, 0), "count must be a whole number from 1 to 100"),
        (lambda: draw_spirals(1).rmse_beyond(np.zeros((1, 0, 2))), "which has numbers"),
        (lambda: draw_spirals(1, beyond=9).rmse_beyond(np.zeros((1, 8, 2))), r"shape \(1, 9, 2\)"),
    ],
)
def test_a_wrong_setting_is_answered(call, message):
    with pytest.raises(ConfigError, match=message):
        call()
