"""Noisy spirals in the plane, the toy problem of latent ODEs.

Source: `generate_spiral2d` of torchdiffeq's examples/latent_ode.py, and Chen et al. 2018, "Neural
Ordinary Differential Equations", section 5.1 and table 2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from jaxode.checks import SEEDS, Range, require, require_count, require_in
from jaxode.data.series.padded import PaddedSeries

CLASSES = ("clockwise", "counter-clockwise")

TURNS = 6 * math.pi
"""Radians, which are the time: three times round."""

WIDENING = 0.3
"""Of the radius, a radian (b in the source)."""


@dataclass(frozen=True, eq=False)
class Spirals:
    """Observations of spirals in a window of time, and the truth there and beyond.

    Args:
      series: noisy observations; times count from the window's start; labels say which way round.
      times: of the truth, float32 [W + B]: W of the window, then B beyond.
      truth: without noise, float32 [N, W + B, 2].
      trajectories: the whole spirals without noise, float32 [N, P, 2].
      starts: where among the P points each window starts, int64 [N].
      window: points of the window, W.

    Example:
      >>> from jaxode.data.series import draw_spirals
      >>> spirals = draw_spirals(10, beyond=100).observed_at(30, seed=1)
      >>> spirals.series.values.shape, spirals.truth.shape
      ((10, 30, 2), (10, 200, 2))
      >>> spirals.rmse_beyond(spirals.truth[:, 100:])
      0.0
    """

    series: PaddedSeries
    times: Float[np.ndarray, " K"]
    truth: Float[np.ndarray, "N K 2"]
    trajectories: Float[np.ndarray, "N P 2"]
    starts: Int[np.ndarray, " N"]
    window: int

    def observed_at(self, count: int, seed: int) -> Spirals:
        """The same spirals with `count` irregular times of the window, drawn for each by itself."""
        require_in("count", count, Range(1, self.window))
        return replace(self, series=self.series.subsample(count, seed))

    def take(self, rows: object) -> Spirals:
        """Some of the spirals, in the order given."""
        series, index = self.series.take(rows), np.asarray(rows)
        arrays = {name: getattr(self, name)[index] for name in ("truth", "trajectories", "starts")}
        return replace(self, series=series, **arrays)

    def rmse_beyond(self, predictions: Float[np.ndarray, "N B 2"]) -> float:
        """Root of the mean squared error beyond the window, over all numbers (table 2).

        Args:
          predictions: at `times[window:]`.

        Raises:
          ConfigError: predictions of another shape.
        """
        truth = self.truth[:, self.window :].astype(np.float64)
        found = np.asarray(predictions, np.float64)
        allowed = f"of shape {truth.shape}, which has numbers"
        require(found.shape == truth.shape and truth.size > 0, "predictions", found.shape, allowed)
        return float(np.sqrt(np.mean((found - truth) ** 2)))


def draw_spirals(
    count: int = 1000,
    *,
    points: int = 500,
    window: int = 100,
    beyond: int = 0,
    noise: float = 0.1,
    seed: int = 0,
) -> Spirals:
    """Spirals, each clockwise or counter-clockwise with equal probability, seen for a while.

    Both are Archimedean in the angle θ, up to 6π: the radius is 0.3 θ, going out, or 15 / θ, going
    in. Windows start anywhere but near the ends, at one of the points `window` to
    `points` - `window` - `beyond` - 1.

    Args:
      count: spirals.
      points: of a whole spiral.
      window: observed points, consecutive.
      beyond: points after the window of which the truth is wanted; table 2 has 100, with 30, 50 or
        100 irregular times of a window of 100 (`Spirals.observed_at`).
      noise: standard deviation of what is added to the observations.
      seed: of all that is drawn.

    Returns:
      The spirals. The distribution is that of the source; its very draws are not repeated.

    Raises:
      ConfigError: a setting out of range, or a window that leaves nowhere to start.

    Example:
      >>> from jaxode.data.series import draw_spirals
      >>> spirals = draw_spirals(4, seed=3)
      >>> spirals.series.values.shape, spirals.trajectories.shape
      ((4, 100, 2), (4, 500, 2))
    """
    for name, number in (("count", count), ("points", points), ("window", window)):
        require_count(name, number)
    require_count("beyond", beyond, at_least=0)
    require_in("noise", noise, Range(0.0, 1e3), float)
    require_in("seed", seed, SEEDS)
    most = points - 2 * window - beyond
    require(most >= 1, "points", points, f"at least {2 * window + beyond + 1}, for the window")
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count).astype(np.int32)
    starts = window + rng.integers(0, most, count)
    angles, both = _both(points)
    trajectories = both[labels]
    place = starts[:, None] + np.arange(window + beyond)
    truth = np.take_along_axis(trajectories, place[..., None], axis=1)
    seen = truth[:, :window]
    values = (seen + rng.normal(scale=noise, size=seen.shape)).astype(np.float32)
    times = angles[: window + beyond].astype(np.float32)
    series = PaddedSeries(
        np.tile(times[:window], (count, 1)),
        values,
        np.ones(values.shape, bool),
        np.full(count, window, np.int32),
        ("x", "y"),
        labels,
        CLASSES,
    )
    single = truth.astype(np.float32), trajectories.astype(np.float32)
    return Spirals(series, times, *single, starts, window)


def _both(points: int) -> tuple[Float[np.ndarray, " P"], Float[np.ndarray, "2 P 2"]]:
    """Angles, and the clockwise and the counter-clockwise spiral at them."""
    angles = np.linspace(0.0, TURNS, points)
    left = TURNS + 1 - angles  # which ends at 1, for the radius is its inverse
    spirals = []
    for angle, radius, centre in (
        (left, 50 * WIDENING / left, -5.0),
        (angles, WIDENING * angles, 5.0),
    ):
        spirals.append(np.stack([radius * np.cos(angle) + centre, radius * np.sin(angle)], 1))
    return angles, np.stack(spirals)
