"""Topic: the phase portrait of Verhulst's equation."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.dynamics.drawing import arrows, label_panel, to_small_png
from experiments.dynamics.text import number
from experiments.dynamics.topic import Topic
from jaxode.config import SolveConfig
from jaxode.ode import trajectory
from jaxode.plots.style import BLUE, GREEN, GREY, ORANGE, RED, new_panels
from jaxode.plots.tables import markdown_table

RATE, CAPACITY = 1.0, 2.0
STARTS = np.array([-0.02, 0.05, 0.2, 0.5, 1.0, 2.0, 2.5, 3.0])
TIMES = np.linspace(0, 4, 61)
TOLERANCE = 1e-8


def field(t: Any, y: Any, given: Any) -> Any:
    """Y' = r (1 − y/K) y."""
    rate, capacity = given
    return rate * (1 - y / capacity) * y


def exact(t: Any, start: Any) -> Any:
    """K / (1 + (K/y(0) − 1) exp(−r t))."""
    return CAPACITY / (1 + (CAPACITY / start - 1) * np.exp(-RATE * t))


def topic() -> Topic:
    """Numbers, text and picture."""
    given = (jnp.array(RATE), jnp.array(CAPACITY))
    config = SolveConfig(rtol=TOLERANCE, atol=TOLERANCE)
    states, stats = trajectory(field, jnp.asarray(STARTS), given, config, TIMES)
    stats.check()
    paths = np.asarray(states)
    slope = jax.grad(lambda y: field(0.0, y, given))
    equilibria = [
        {"y": y, "derivative": float(slope(y)), "stable": float(slope(y)) < 0}
        for y in (0.0, CAPACITY)
    ]
    numbers = {
        "equation": "y' = r (1 - y/K) y",
        "r": RATE,
        "K": CAPACITY,
        "equilibria": equilibria,
        "largest_error": float(np.abs(paths - exact(TIMES[:, None], STARTS)).max()),
        "tolerance": TOLERANCE,
        "starts": STARTS.tolist(),
        "states_at_the_end": paths[-1].tolist(),
    }
    rows = [
        [
            number(each["y"], 0),
            number(each["derivative"], 0),
            "stable" if each["stable"] else "unstable",
        ]
        for each in equilibria
    ]
    text = (
        f"Verhulst's equation y′ = r (1 − y/K) y, here with r = {RATE:g} and K = {CAPACITY:g}, has"
        " two equilibria. The sign of the derivative of its right-hand side there (`jax.grad`)"
        " shows where neighbours go:\n\n"
        + markdown_table(["equilibrium", "derivative", ""], rows)
        + "\n\nEvery population above 0 tends to K, growing fastest at K/2; below 0 solutions"
        f" leave for −∞ in finite time. The curves are dopri5's at tolerance {TOLERANCE:.0e};"
        f" they are within {numbers['largest_error']:.1e} of the exact solution K / (1 + (K/y(0)"
        " − 1) exp(−r t))."
    )
    return Topic("verhulst", "A phase portrait: Verhulst's equation", text, numbers, draw(paths))


def draw(paths: np.ndarray) -> bytes:
    """Solutions on their slope field, and the line that they move on."""
    figure, ((left, right),) = new_panels(1, 2, 11.6, 4.4)
    low, high = -0.6, 3.2
    left.set(xlim=(0, TIMES[-1]), ylim=(low, high))
    x, y = np.meshgrid(
        np.linspace(0.1, TIMES[-1] - 0.1, 18), np.linspace(low + 0.1, high - 0.1, 15), indexing="ij"
    )
    slopes = RATE * (1 - y / CAPACITY) * y
    arrows(left, x, y, np.ones_like(slopes), slopes)
    for start, path in zip(STARTS, paths.T, strict=True):
        inside = path > low
        color = RED if start < 0 else BLUE if start < CAPACITY else ORANGE
        if start != CAPACITY:
            left.plot(TIMES[inside], path[inside], color=color, linewidth=1.6)
    left.axhline(CAPACITY, color=GREEN, linewidth=2.2, label="K, stable")
    left.axhline(0, color=RED, linewidth=2.2, linestyle="--", label="0, unstable")
    label_panel(left, f"y′ = r (1 − y/K) y with r = {RATE:g}, K = {CAPACITY:g}", "t", "y", "below")
    line = np.linspace(low, high, 200)
    right.axhline(0, color=GREY, linewidth=1)
    right.plot(line, RATE * (1 - line / CAPACITY) * line, color=BLUE, linewidth=2)
    for spot in (-0.35, 0.5, 1.35, 2.55):
        ahead = 0.18 if 0 < spot < CAPACITY else -0.18
        style = {"arrowstyle": "-|>", "color": ORANGE, "mutation_scale": 20, "linewidth": 2}
        right.annotate("", (spot + ahead, 0), (spot - ahead, 0), arrowprops=style)
    right.plot([CAPACITY], [0], "o", color=GREEN, markersize=9, label="K, stable")
    right.plot(
        [0],
        [0],
        "o",
        markerfacecolor="white",
        markeredgecolor=RED,
        markeredgewidth=2,
        markersize=9,
        label="0, unstable",
    )
    right.grid(alpha=0.25)
    label_panel(right, "the phase line: where y′ > 0, y grows", "y", "y′", "below")
    return to_small_png(figure)
