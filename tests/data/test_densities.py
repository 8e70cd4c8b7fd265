"""The densities of the plane: points, densities and entropies belong together."""

import numpy as np
import pytest

from jaxode.data.densities import TARGETS

KNOWN = [name for name, target in TARGETS.items() if target.log_density is not None]


@pytest.mark.parametrize("name", KNOWN)
def test_the_mean_over_points_drawn_is_the_entropy(name):
    target = TARGETS[name]
    points = target.draw(np.random.default_rng(0), 20_000)
    assert target.log_density is not None
    log_p = target.log_density(points)
    assert np.isfinite(log_p).all()
    error = log_p.std() / np.sqrt(len(log_p))
    assert abs(-log_p.mean() - target.entropy) < 4 * error + 0.003


@pytest.mark.parametrize("name", KNOWN)
def test_a_density_integrates_to_one(name):
    step = 0.1 if name == "moons" else 0.025  # narrow circles need the finer grid
    side = np.arange(-5, 5, step) + step / 2
    grid = np.stack(np.meshgrid(side, side), -1).reshape(-1, 2)
    log_density = TARGETS[name].log_density
    assert log_density is not None
    p = np.exp(log_density(grid))
    assert p.sum() * step**2 == pytest.approx(1, abs=1e-3)


def test_points_are_a_function_of_the_generator():
    for target in TARGETS.values():
        one, other, third = (target.draw(np.random.default_rng(k), 50) for k in (0, 0, 1))
        assert one.shape == (50, 2)
        np.testing.assert_array_equal(one, other)
        assert not np.array_equal(one, third)


def test_a_pinwheel_has_five_blades_alike():
    points = TARGETS["pinwheel"].draw(np.random.default_rng(0), 50_000)
    turn = 2 * np.pi / 5
    turned = points @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    edges = np.linspace(-4, 4, 9)
    counts = [np.histogram2d(*each.T, bins=(edges, edges))[0] for each in (points, turned)]
    assert np.abs(counts[0] - counts[1]).max() < 6 * np.sqrt(2 * counts[0].max())
