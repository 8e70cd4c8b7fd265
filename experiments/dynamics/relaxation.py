"""Topic: solvers and step sizes against the exact answer of y' + y/2 = 3/2."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.dynamics.drawing import arrows, label_panel, to_small_png
from experiments.dynamics.topic import Topic
from jaxode.config import SolveConfig
from jaxode.ode import odeint, trajectory
from jaxode.plots.style import COLOURS, GREY, new_panels
from jaxode.plots.tables import markdown_table

END = 8.0
FIXED = ("euler", "midpoint", "rk4_classic")
STEPS = (1.0, 0.5, 0.25, 0.125)
TOLERANCES = (1e-3, 1e-6, 1e-9)
STARTS = np.array([0.0, 1.0, 2.0, 3.0, 4.0, 5.0])


def field(x: Any, y: Any, _: Any) -> Any:
    """Y' = 3/2 − y/2."""
    return (3 - y) / 2


def exact(x: Any, start: Any = 2.0) -> Any:
    """3 + (y(0) − 3) exp(−x/2), which is 3 − exp(−x/2) from y(0) = 2."""
    return 3 + (start - 3) * np.exp(-np.asarray(x) / 2)


def solved(config: SolveConfig) -> dict[str, Any]:
    """Error at x = 1 from y(0) = 2, and the evaluations it took."""
    y, stats = jax.jit(lambda y0: odeint(field, y0, None, config))(jnp.array(2.0))
    stats.check()
    return {"error": abs(float(y) - float(exact(1.0))), "nfe": int(stats.nfe)}


def topic() -> Topic:
    """Numbers, text and picture."""
    fixed = [{"solver": name, "step_size": step, **solved(SolveConfig(solver=name, step_size=step))}
             for name in FIXED for step in STEPS]  # fmt: skip
    adaptive = [{"solver": "dopri5", "tolerance": tol, **solved(SolveConfig(rtol=tol, atol=tol))}
                for tol in TOLERANCES]  # fmt: skip
    coarse = SolveConfig(solver="euler", step_size=1.0)
    times = np.arange(END + 1)
    polygon, _ = trajectory(field, jnp.array(2.0), None, coarse, times)
    polygon = np.asarray(polygon)
    numbers = {
        "equation": "y' + y/2 = 3/2, y(0) = 2",
        "exact_at_1": float(exact(1.0)),
        "fixed": fixed,
        "adaptive": adaptive,
        "euler_step_1": polygon.tolist(),
    }
    rows = []
    for name in FIXED:
        errors = [each["error"] for each in fixed if each["solver"] == name]
        rows.append(
            [name, *(f"{error:.1e}" for error in errors), f"{np.log2(errors[-2] / errors[-1]):.2f}"]
        )
    text = (
        "y′ + y/2 = 3/2 with y(0) = 2 has the solution y = 3 − exp(−x/2). Errors at x = 1, and the"
        " order that the last halving of the step shows:\n\n"
        + markdown_table(["solver", *(f"h = {step:g}" for step in STEPS), "order"], rows)
        + "\n\nWith steps that it chooses itself, dopri5 needs:\n\n"
        + markdown_table(
            ["tolerance", "error", "evaluations"],
            [
                [f"{row['tolerance']:.0e}", f"{row['error']:.1e}", str(row["nfe"])]
                for row in adaptive
            ],
        )
    )
    return Topic(
        "relaxation",
        "Solvers against an exact answer",
        text,
        numbers,
        draw(polygon, fixed, adaptive),
    )


def draw(polygon: np.ndarray, fixed: list[dict[str, Any]], adaptive: list[dict[str, Any]]) -> bytes:
    """The direction field with solutions, and errors against evaluations."""
    figure, ((left, right),) = new_panels(1, 2, 11.6, 4.4)
    left.set(xlim=(0, END), ylim=(-0.2, 5.2))
    x, y = np.meshgrid(np.linspace(0, END, 19), np.linspace(0, 5, 15), indexing="ij")
    arrows(left, x, y, np.ones_like(x), field(x, y, None))
    fine = np.linspace(0, END, 100)
    for start in STARTS[STARTS != 2]:
        left.plot(fine, exact(fine, start), color=GREY, linewidth=0.9, alpha=0.6)
    left.plot(fine, exact(fine), color=GREY, linewidth=2.4, label="exact, $3 - e^{-x/2}$")
    left.plot(
        np.arange(END + 1),
        polygon,
        color=COLOURS[0],
        linewidth=1.4,
        marker="o",
        markersize=4,
        label="Euler, h = 1",
    )
    label_panel(left, "y′ + y/2 = 3/2, y(0) = 2", "x", "y", "below")
    for color, name in zip(COLOURS, FIXED, strict=False):
        rows = [row for row in fixed if row["solver"] == name]
        right.loglog(
            [row["nfe"] for row in rows],
            [row["error"] for row in rows],
            color=color,
            marker="o",
            markersize=4.5,
            label=name,
        )
    right.loglog(
        [row["nfe"] for row in adaptive],
        [row["error"] for row in adaptive],
        color=GREY,
        marker="s",
        markersize=4.5,
        linestyle="--",
        label="dopri5, adaptive",
    )
    right.set_xticks([1, 2, 4, 8, 16, 32], ["1", "2", "4", "8", "16", "32"])
    right.minorticks_off()
    right.grid(alpha=0.25)
    label_panel(right, "error at x = 1", "evaluations of y′", "|y(1) − exact|", "below", 4)
    return to_small_png(figure)
