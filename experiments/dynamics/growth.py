"""Topic: Euler's method on y' = y."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from experiments.dynamics.drawing import label_panel, to_small_png
from experiments.dynamics.text import number
from experiments.dynamics.topic import Topic
from jaxode.config import SolveConfig
from jaxode.ode import trajectory
from jaxode.plots.style import COLOURS, GREY, new_panels
from jaxode.plots.tables import markdown_table

END = 4.0
STEPS = (1.0, 0.5, 0.25, 0.125)


def followed(step: float) -> np.ndarray:
    """Euler's sequence on y' = y from y(0) = 1 to t = END."""
    config = SolveConfig(solver="euler", step_size=step)
    times = np.linspace(0, END, round(END / step) + 1)
    states, stats = trajectory(lambda t, y, _: y, jnp.ones(()), None, config, times)
    stats.check()
    return np.asarray(states)


def topic() -> Topic:
    """Numbers, text and picture."""
    sequences = {step: followed(step) for step in STEPS}
    numbers = {
        "equation": "y' = y, y(0) = 1",
        "exact": np.exp(np.arange(END + 1)).tolist(),
        "euler": [
            {"step_size": step, "states": states.tolist()} for step, states in sequences.items()
        ],
    }
    rows = [
        [
            f"Euler, h = {step:g}",
            *(f"{y:.10g}" if step == 1 else number(y) for y in states[:: round(1 / step)]),
        ]
        for step, states in sequences.items()
    ]
    rows.append(["exact, eᵗ", *(number(y) for y in numbers["exact"])])
    text = (
        "y′ = y with y(0) = 1 has the solution eᵗ. Euler's method follows the slope at the start of"
        " each step, y ← y + h·y, so that h = 1 doubles y: 1, 2, 4, 8, 16. It falls behind because"
        " the slope grows during a step; with h → 0, (1 + h)^(t/h) tends to eᵗ.\n\n"
        + markdown_table(["t", *(str(k) for k in range(int(END) + 1))], rows)
    )
    return Topic("euler", "Euler's method: 1, 2, 4, 8, 16", text, numbers, draw(sequences))


def draw(sequences: dict[float, Any]) -> bytes:
    """The polygons beside the exponential function."""
    figure, ((panel,),) = new_panels(1, 1, 6.6, 4.4)
    fine = np.linspace(0, END, 200)
    panel.plot(fine, np.exp(fine), color=GREY, linewidth=2, label="exact, $e^t$")
    for color, (step, states) in zip(COLOURS, sequences.items(), strict=False):
        panel.plot(
            np.linspace(0, END, len(states)),
            states,
            color=color,
            linewidth=1.4,
            marker="o",
            markersize=3.5,
            label=f"Euler, h = {step:g}",
        )
    for t, y in enumerate(sequences[1.0]):
        panel.annotate(
            f"{y:g}",
            (t, y),
            (0, -13),
            textcoords="offset points",
            ha="center",
            fontsize=9,
            color=COLOURS[0],
        )
    panel.set(xlim=(-0.15, END + 0.2), ylim=(-4.5, None))
    panel.grid(alpha=0.25)
    label_panel(panel, "y′ = y, y(0) = 1", "t", "y", "upper left")
    return to_small_png(figure)
