"""Topic: a chain of residual blocks as Euler's method."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from experiments.dynamics.drawing import label_panel, to_small_png
from experiments.dynamics.topic import Topic
from jaxode.config import SolveConfig
from jaxode.nn.blocks import ResidualBlock
from jaxode.nn.kernels import choose_kernels
from jaxode.ode import trajectory
from jaxode.plots.style import COLOURS, GREY, new_panels
from jaxode.plots.tables import markdown_table

WIDTH, SIDE = 4, 4
BLOCKS = (1, 2, 4, 16, 64)
SHOWN = (1, 2, 4, 16)
FLOW = SolveConfig(rtol=1e-7, atol=1e-7, max_steps=4000)


def topic() -> Topic:
    """Numbers, text and picture."""
    block = ResidualBlock(WIDTH, kernels=choose_kernels(), rngs=nnx.Rngs(0), dtype=jnp.dtype(float))
    graph, params = nnx.split(block)
    z0 = jnp.asarray(np.random.default_rng(1).normal(size=(1, SIDE, SIDE, WIDTH)))

    def field(t: Any, z: Any, params: Any) -> Any:
        return nnx.merge(graph, params)(z) - z

    @jax.jit
    def chain(params: Any, count: Any) -> Any:
        """States after 0, 1, … of `count` blocks that share the weights, each with f / count."""
        share = jax.tree.map(lambda leaf: leaf, params)
        share["conv2"]["kernel"][...] = share["conv2"]["kernel"][...] / count

        def advance(k: Any, states: Any) -> Any:
            return states.at[k + 1].set(nnx.merge(graph, share)(states[k]))

        states = jnp.zeros((max(BLOCKS) + 1, *z0.shape)).at[0].set(z0)
        return jax.lax.fori_loop(0, count, advance, states)

    def flow(config: SolveConfig, count: int) -> np.ndarray:
        states, stats = jax.jit(
            lambda p: trajectory(field, z0, p, config, np.linspace(0, 1, count + 1))
        )(params)
        stats.check()
        return np.asarray(states)

    exact = flow(FLOW, 16)
    chains, rows = {}, []
    for count in BLOCKS:
        chains[count] = np.asarray(chain(params, count))[: count + 1]
        euler = flow(SolveConfig(solver="euler", step_size=1 / count), count)
        rows.append({
            "blocks": count,
            "distance_to_euler": relative(chains[count], euler),
            "distance_to_flow": relative(chains[count][-1], exact[-1]),
        })  # fmt: skip
    numbers = {
        "state": list(z0.shape),
        "rows": rows,
        "flow": {"solver": FLOW.solver, "tolerance": FLOW.rtol},
    }
    cells = [
        [str(row["blocks"]), f"{row['distance_to_euler']:.0e}", f"{row['distance_to_flow']:.2e}"]
        for row in rows
    ]
    text = (
        "A residual block computes z + f(z), which is one step of Euler's method of size 1 on"
        " dz/dt = f(z). N blocks that share their weights, each with f/N, are N steps of size 1/N."
        " Here f is what `jaxode.nn.blocks`'s ResidualBlock adds with its initial weights, on a"
        f" map of {SIDE} × {SIDE} pixels and {WIDTH} channels; in the blocks the last convolution"
        " is divided by N, and Euler's method is `odeint`'s. Both give the same states to"
        " rounding, and approach the flow as 1/N: an ODE block is the limit of ever more, ever"
        " smaller blocks. Distances are ‖a − b‖₂ / ‖b‖₂, to Euler over all states on the way, to"
        " the flow at t = 1:\n\n"
        + markdown_table(["blocks N", "from Euler's method, h = 1/N", "from the flow"], cells)
    )
    return Topic(
        "residual", "A residual network is Euler's method", text, numbers, draw(chains, exact, rows)
    )


def relative(found: np.ndarray, expected: np.ndarray) -> float:
    """‖a − b‖₂ / ‖b‖₂."""
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def draw(chains: dict[int, np.ndarray], exact: np.ndarray, rows: list[dict[str, Any]]) -> bytes:
    """The state's number that changes most through the blocks, and the distance to the flow."""
    figure, ((left, right),) = new_panels(1, 2, 11.6, 4.4)
    moving = np.unravel_index(np.abs(chains[1][-1] - exact[-1]).argmax(), exact[-1].shape)
    left.plot(
        np.linspace(0, 1, len(exact)),
        exact[(slice(None), *moving)],
        color=GREY,
        linewidth=2.4,
        label="flow",
    )
    for color, count in zip(COLOURS, SHOWN, strict=False):
        left.plot(
            np.linspace(0, 1, count + 1),
            chains[count][(slice(None), *moving)],
            color=color,
            linewidth=1.4,
            marker="o",
            markersize=3.5,
            label=f"{count} block" + "s" * (count > 1),
        )
    left.grid(alpha=0.25)
    label_panel(left, "one number of the state", "t = block / N", "z", "best")
    counts = np.array([row["blocks"] for row in rows])
    distances = [row["distance_to_flow"] for row in rows]
    right.loglog(
        counts,
        distances,
        color=COLOURS[0],
        marker="o",
        linewidth=1.8,
        label="distance from the flow",
    )
    right.loglog(
        counts,
        distances[-1] * counts[-1] / counts,
        color=GREY,
        linestyle="--",
        label="proportional to 1/N",
    )
    right.set_xticks(counts, [str(count) for count in counts])
    right.minorticks_off()
    right.grid(alpha=0.25)
    label_panel(
        right,
        "N blocks with f/N against the flow",
        "blocks N",
        "relative distance at t = 1",
        "lower left",
    )
    return to_small_png(figure)
