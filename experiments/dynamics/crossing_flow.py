"""The flow of a field that takes two points on a line, and their neighbours, to their ends.

On a line the paths of a flow keep their order, z₁ < z₂. With it the mean of (z₁ − 1)² and (z₂ + 1)²
is at least 1, its value at z₁ = z₂ = 0: no exact flow has a smaller loss, whatever its field
(Dupont, Doucet and Teh 2019, proposition 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from jaxode.config import SolveConfig
from jaxode.data import ArrayDataset
from jaxode.errors import RunFailed
from jaxode.nn.fields import DenseField
from jaxode.ode import SolveError, Stats, odeint, trajectory
from jaxode.types import Params

STARTS, TARGETS = (-1.0, 1.0), (1.0, -1.0)

BOUND = 1.0
"""No exact flow on the line has a smaller loss."""

NEIGHBOURS = np.array([-1.5, -1.25, -0.75, -0.5, -0.25, 0.0, 0.25, 0.5, 0.75, 1.25, 1.5])
"""Other starts, to draw."""

TIMES = 60
"""Intervals of a drawn path of an exact flow."""

MAX_STEPS = 1000
"""Of one exact solve."""

PAIR = {"start": np.array([STARTS]), "end": np.array([TARGETS])}
DATA = ArrayDataset("crossing", PAIR, PAIR)
"""One example: both points."""


class Flow(nnx.Module):
    """Where a field takes points on the line."""

    def __init__(self, field: DenseField, solve: SolveConfig, extra: int) -> None:
        self.field, self.solve, self.extra = field, solve, extra

    def __call__(self, start: Float[Array, "1 points"]) -> tuple[Float[Array, "1 points"], Stats]:
        """The ends of the points of one example, and what the solve cost."""
        graph, params = nnx.split(self.field)
        ends, stats = Case(graph, self.solve, self.extra).ends(params, start[0])
        return ends[None], Stats.chain([stats])


@dataclass(frozen=True)
class Case:
    """A field's kind and its solve; called with parameters, the loss that is trained."""

    graph: nnx.GraphDef[DenseField]
    solve: SolveConfig
    extra: int = 0
    """Dimensions of the state beyond the line's, zero at the start."""

    def padded(self, line: Any) -> Float[Array, "B D"]:
        """States [B, 1 + extra] at the start, from points [B] on the line."""
        return jnp.pad(jnp.asarray(line, float)[:, None], ((0, 0), (0, self.extra)))

    def slope(self, t: Any, z: Any, params: Params) -> Any:
        """The vector field with its parameters as arguments."""
        return nnx.merge(self.graph, params)(t, z)

    def __call__(self, params: Params) -> tuple[Any, tuple[Any, Stats]]:
        """Mean squared distance from the targets, where the starts lead [2], the solve's cost."""
        ends, stats = self.ends(params, np.array(STARTS))
        return jnp.mean((ends - np.array(TARGETS)) ** 2), (ends, stats)

    def ends(self, params: Params, start: Any) -> tuple[Any, Stats]:
        """Where points [B] on the line lead [B]; what the solve cost."""
        z1, stats = odeint(self.slope, self.padded(start), params, self.solve)
        return z1[:, 0], stats

    def paths(self, params: Params) -> tuple[np.ndarray, np.ndarray]:
        """Times [T] and states [T, B, D] from the two starts, and after them from their neighbours.

        The times are those of the steps, where steps are fixed.
        """
        count = TIMES if self.solve.step_size is None else round(1 / self.solve.step_size)
        times = np.linspace(0, 1, count + 1)
        begin = self.padded(np.concatenate([STARTS, NEIGHBOURS]))
        states, stats = _paths(self, begin, params, tuple(times.tolist()))
        checked(stats, "drawing the paths")
        return times, np.asarray(states)

    def arrows(self, params: Params, times: np.ndarray, states: np.ndarray) -> np.ndarray:
        """The field [T, B, D] at each of the times [T] in the states [B, D]."""
        return np.asarray(
            jax.vmap(lambda t: self.slope(t, jnp.asarray(states), params))(jnp.asarray(times))
        )


@partial(jax.jit, static_argnums=(0, 3))
def _paths(case: Case, begin: Any, params: Params, times: tuple[float, ...]) -> tuple[Any, Stats]:
    """Compiled once for equal cases: the flow trained on the line and that of Euler's field."""
    return trajectory(case.slope, begin, params, case.solve, times)


def checked(stats: Stats, title: str) -> Stats:
    """The same; RunFailed if the solve failed."""
    try:
        return stats.check()
    except SolveError as error:
        raise RunFailed(f"{title}: {error}") from error
