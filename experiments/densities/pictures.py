"""Density and samples beside the target, and the flow on its way from the base to the data."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from experiments.densities.config import DensityConfig
from jaxode.data.densities import TARGETS
from jaxode.models import ContinuousFlow
from jaxode.nn import ODEBlock
from jaxode.plots import density
from jaxode.plots.density import Panel
from jaxode.plots.flow_animation import animate

SIDE = 80
"""Points of the grid along each side."""

SHOWN = 20_000
"""Samples of each panel."""

FRAMES = 25
"""Of the animation, the base and the data included."""

PART = 2000
"""Points that are solved together."""

ON_THE_WAY = (0.99, 0.75, 0.5, 0.25, 0.0)
"""Parts of the way from the data to the base at which the flow is shown."""


def draw(flow: ContinuousFlow, config: DensityConfig, title: str) -> bytes:
    """A PNG: densities at several times above, samples below, the target last."""
    target = TARGETS[config.target]
    points = target.draw(np.random.default_rng([config.seed, 2]), SHOWN)
    extent = 1.15 * float(np.abs(points).max())
    side = np.linspace(-extent, extent, SIDE)
    grid = np.stack(np.meshgrid(side, side), -1).reshape(-1, 2).astype(np.float32)
    base = np.asarray(flow.sample_base(jax.random.key(config.seed), SHOWN))
    above, below = [], []
    for along in ON_THE_WAY:
        log_p = in_parts(jax.jit(lambda x, along=along: flow.log_prob(x, along=along)[0]), grid)
        p = np.exp(log_p).reshape(SIDE, SIDE)
        moved = in_parts(jax.jit(lambda z, along=along: flow.decode(z, along=along)[0]), base)
        name = "model" if along == 0 else f"{100 * (1 - along):.0f} % of the way"
        above.append(Panel(f"density, {name}", p, True))
        below.append(Panel(f"samples, {name}", moved, False))
    exact = Panel("points of the target", points, False)
    if target.log_density is not None:
        p = np.exp(target.log_density(grid.astype(np.float64))).reshape(SIDE, SIDE)
        above.append(Panel("density of the target", p, True))
    else:
        above.append(exact)
    return density.draw([above, [*below, exact]], extent, title)


def animated(flow: ContinuousFlow, config: DensityConfig) -> bytes:
    """A GIF of samples on their way from the base to the data, a solve through all its times."""
    target = TARGETS[config.target]
    points = target.draw(np.random.default_rng([config.seed, 2]), SHOWN)
    extent = 1.15 * float(np.abs(points).max())
    parts = np.linspace(0.0, 1.0, FRAMES)
    times = flow.base_time + parts * (flow.data_time - flow.base_time)
    block = ODEBlock(flow.field, dataclasses.replace(flow.solve, regularise=None))
    base = np.asarray(flow.sample_base(jax.random.key(config.seed), SHOWN))

    def path(z: jax.Array) -> jax.Array:
        return jnp.swapaxes(block(z, ts=times)[0], 0, 1)

    moved = in_parts(jax.jit(path), base).swapaxes(0, 1)
    titles = [f"{100 * part:.0f} % of the way from N(0, σ²)" for part in parts]
    return animate(moved, titles, extent)


def in_parts(
    function: Callable[[jax.Array], jax.Array], points: Float[np.ndarray, "N D"]
) -> np.ndarray:
    """Results for all points, of which few are solved together."""
    count = -(-len(points) // PART)
    padded = np.resize(points, (count * PART, points.shape[1]))
    parts = [np.asarray(function(jnp.asarray(each))) for each in np.split(padded, count)]
    return np.concatenate(parts)[: len(points)]
