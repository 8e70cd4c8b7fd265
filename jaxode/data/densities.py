"""Densities in the plane that flows are tried on: their points, densities and entropies.

No model's mean of -log p over fresh points can be below the entropy, but for chance: the gap is the
Kullback-Leibler divergence of the model from the target.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

PlanePoints = Float[np.ndarray, "N 2"]

QUADRATURE = 400
"""Angles over which the density of a moon is integrated."""


@dataclass(frozen=True)
class TargetDensity:
    """A density in the plane.

    Args:
      title: for pictures.
      draw: generator, N → N points [N, 2].
      log_density: points [N, 2] → log-densities [N] in nats; None where it has no simple form.
      entropy: in nats.
      exact: whether `entropy` is that, to about 0.001; else it is an upper bound of it.

    Example:
      >>> import numpy as np
      >>> from jaxode.data.densities import TARGETS
      >>> target = TARGETS["checkerboard"]
      >>> points = target.draw(np.random.default_rng(0), 1000)
      >>> print(f"{-target.log_density(points).mean():.3f} {target.entropy:.3f}")
      3.466 3.466
    """

    title: str
    draw: Callable[[np.random.Generator, int], PlanePoints]
    log_density: Callable[[PlanePoints], Float[np.ndarray, " N"]] | None
    entropy: float
    exact: bool = True


def log_mean_exp(logs: Float[np.ndarray, "N K"]) -> Float[np.ndarray, " N"]:
    """Logarithm of the mean of exp over the last axis."""
    largest = logs.max(1)
    return largest + np.log(np.exp(logs - largest[:, None]).mean(1))


def log_normal(
    x: PlanePoints, centres: Float[np.ndarray, "K 2"], deviation: float
) -> Float[np.ndarray, "N K"]:
    """Log-densities of points under round normal distributions about each centre."""
    squares = ((x[:, None] - centres[None]) ** 2).sum(2)
    return -0.5 * squares / deviation**2 - math.log(2 * math.pi * deviation**2)


def rings(radii: tuple[float, ...], deviation: float, entropy: float, title: str) -> TargetDensity:
    """Circles about the origin, equally probable, with normal noise in both coordinates."""

    def draw(rng: np.random.Generator, count: int) -> PlanePoints:
        angles, radius = rng.uniform(0, 2 * np.pi, count), rng.choice(np.array(radii), count)
        points = radius[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1)
        return points + rng.normal(scale=deviation, size=(count, 2))

    def log_density(x: PlanePoints) -> Float[np.ndarray, " N"]:
        # The integral over the angle is a Bessel function: exp(-(r - R)²/2s²) exp(-k) I0(k).
        distance = np.sqrt((x**2).sum(1))[:, None]
        k = distance * np.array(radii) / deviation**2
        logs = -0.5 * ((distance - np.array(radii)) / deviation) ** 2 + log_scaled_bessel(k)
        return log_mean_exp(logs - math.log(2 * math.pi * deviation**2))

    return TargetDensity(title, draw, log_density, entropy)


def log_scaled_bessel(k: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Logarithm of exp(-k) I0(k): NumPy's up to 500, where I0 is finite, then its expansion."""
    near = np.minimum(k, 500.0)
    far = np.maximum(k, 500.0)
    expansion = -0.5 * np.log(2 * math.pi * far) + np.log1p(1 / (8 * far) + 9 / (128 * far**2))
    return np.where(k <= 500, np.log(np.i0(near)) - near, expansion)


def moons() -> TargetDensity:
    """Two half circles with noise, as scikit-learn draws them, twice as large (FFJORD)."""
    deviation = 0.2

    def arcs(angles: Float[np.ndarray, " K"]) -> Float[np.ndarray, "2 K 2"]:
        outer = np.stack([np.cos(angles), np.sin(angles)], 1)
        inner = np.stack([1 - np.cos(angles), 0.5 - np.sin(angles)], 1)
        return 2 * np.stack([outer, inner]) + np.array([-1.0, -0.2])

    def draw(rng: np.random.Generator, count: int) -> PlanePoints:
        which = rng.integers(0, 2, count)
        points = arcs(rng.uniform(0, np.pi, count))[which, np.arange(count)]
        return points + rng.normal(scale=deviation, size=(count, 2))

    def log_density(x: PlanePoints) -> Float[np.ndarray, " N"]:
        middles = (np.arange(QUADRATURE) + 0.5) * np.pi / QUADRATURE
        centres = arcs(middles).reshape(-1, 2)
        parts = np.array_split(x, max(1, len(x) // 5000))
        return np.concatenate([log_mean_exp(log_normal(p, centres, deviation)) for p in parts])

    return TargetDensity("two moons", draw, log_density, 2.404)


def eight_gaussians() -> TargetDensity:
    """Eight normal distributions on a circle (FFJORD's scales)."""
    angles = np.arange(8) * np.pi / 4
    centres = 4 / 1.414 * np.stack([np.cos(angles), np.sin(angles)], 1)
    deviation = 0.5 / 1.414

    def draw(rng: np.random.Generator, count: int) -> PlanePoints:
        noise = rng.normal(scale=deviation, size=(count, 2))
        return centres[rng.integers(0, 8, count)] + noise

    def log_density(x: PlanePoints) -> Float[np.ndarray, " N"]:
        return log_mean_exp(log_normal(x, centres, deviation))

    return TargetDensity("eight Gaussians", draw, log_density, 2.835)


def checkerboard() -> TargetDensity:
    """Every other square of side 2 of a board of 4 x 4 (FFJORD)."""

    def draw(rng: np.random.Generator, count: int) -> PlanePoints:
        x = rng.uniform(-2, 2, count)
        y = rng.uniform(0, 1, count) - 2 * rng.integers(0, 2, count) + np.floor(x) % 2
        return 2 * np.stack([x, y], 1)

    def log_density(x: PlanePoints) -> Float[np.ndarray, " N"]:
        column, row = np.floor(x / 2).T
        inside = (np.abs(x) < 4).all(1) & ((column + row) % 2 == 0)
        return np.where(inside, -math.log(32), -np.inf)

    return TargetDensity("checkerboard", draw, log_density, math.log(32))


def pinwheel() -> TargetDensity:
    """Five bent blades (Johnson et al. 2016; FFJORD's scales)."""

    def draw(rng: np.random.Generator, count: int) -> PlanePoints:
        along = 1 + 0.3 * rng.normal(size=count)
        across = 0.1 * rng.normal(size=count)
        angles = rng.integers(0, 5, count) * 2 * np.pi / 5 + 0.25 * np.exp(along)
        cos, sin = np.cos(angles), np.sin(angles)
        return 2 * np.stack([cos * along + sin * across, cos * across - sin * along], 1)

    # The entropy of one blade and of the choice among five: a bound, for blades overlap.
    return TargetDensity("pinwheel", draw, None, 2.323, exact=False)


TARGETS: dict[str, TargetDensity] = {
    "circles": rings((1.0, 0.5), 0.06, 0.788, "two circles of torchdiffeq's cnf.py"),
    "moons": moons(),
    "8gaussians": eight_gaussians(),
    "rings": rings((3.0, 2.25, 1.5, 0.75), 0.08, 2.612, "four rings"),
    "checkerboard": checkerboard(),
    "pinwheel": pinwheel(),
}
"""The densities, by name."""
