"""Solves over intervals of each sample's own, as between the observations of a series."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PyTree

from jaxode.checks import require
from jaxode.config import SolveConfig
from jaxode.nn.ode_block import Field, ODEBlock, takes_args
from jaxode.ode import Stats
from jaxode.ode.fixed_grid import grid_steps
from jaxode.ode.solvers import evaluations, make_solver
from jaxode.ode.unrolled import solve_unrolled
from jaxode.types import Time

Samples = Float[Array, "B *z"]
"""A state [B, ...]."""

FEW_STEPS = 8
"""Fixed steps of an interval up to which they are written out, which saves the loop."""


class StretchedField(nnx.Module):
    """(b - a) f(a + s (b - a), z) for times s from 0 to 1: f on an interval [a, b] of each sample.

    Args:
      field: f(t, z) or f(t, z, args), with times [B, 1, ...].

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxode.nn.intervals import StretchedField
      >>> field = StretchedField(lambda t, z: t + 0 * z)
      >>> start, length = jnp.array([0.0, 1.0]), jnp.array([1.0, 2.0])
      >>> field(jnp.array(0.5), jnp.zeros((2, 1)), (start, length, None)).ravel().tolist()
      [0.5, 4.0]
    """

    def __init__(self, field: Field) -> None:
        self.field = field

    def __call__(
        self, s: Time, z: Samples, interval: tuple[Float[Array, " B"], Float[Array, " B"], PyTree]
    ) -> Samples:
        """The slope with respect to s; the interval is a, b - a and the field's args."""
        start, length, args = interval
        shape = (-1, *[1] * (z.ndim - 1))
        start, length = start.reshape(shape), length.reshape(shape)
        more = (args,) if takes_args(self.field, args) else ()
        return length * self.field(start + s * length, z, *more)


class IntervalSolve(nnx.Module):
    """z(b) of dz/dt = f(t, z) with z(a) given, for an interval [a, b] of each sample's own.

    With per-sample step sizes and error control each sample is solved in its own time. Otherwise
    all are solved together in the time s = (t - a)/(b - a) from 0 to 1, so that a step size is a
    part of an interval. An interval of length 0 is the identity.

    Args:
      field: an `nnx.Module` or a function, f(t, z) or f(t, z, args), with times [B, 1, ...].
      solve: solver, gradient mode, and tolerances or a step size: 1.0 is one step an interval;
        without regularisers.

    Raises:
      ConfigError: regularisers.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxode import SolveConfig
      >>> from jaxode.nn import IntervalSolve
      >>> solve = IntervalSolve(lambda t, z: -z, SolveConfig("euler", step_size=1.0))
      >>> z, stats = solve(jnp.ones((2, 1)), jnp.zeros(2), jnp.array([0.5, 0.0]))
      >>> z.ravel().tolist(), int(stats.nfe)
      ([0.5, 1.0], 1)
    """

    def __init__(self, field: Field, solve: SolveConfig) -> None:
        # It is called row by row, in a scan that no penalty can leave.
        given = solve.regularise
        require(given is None, "regularise", given, "None for solves between rows")
        self.own_times = solve.per_sample and solve.adaptive
        self.block = ODEBlock(field if self.own_times else StretchedField(field), solve)

    @property
    def field(self) -> Field:
        """The vector field."""
        block: Any = self.block
        return block.field if self.own_times else block.field.field

    def __call__(
        self, z: Samples, start: Float[Array, " B"], end: Float[Array, " B"], args: PyTree = None
    ) -> tuple[Samples, Stats]:
        """The state at the ends of the intervals.

        Args:
          z: the state at their starts, [B, ...].
          start: a, [B].
          end: b, [B]; not before a anywhere, or not after it.
          args: the field's third argument; has a gradient.

        Returns:
          [B, ...], and the statistics of the solve.
        """
        if self.own_times:
            states, stats = self.block(z, args, ts=jnp.stack([start, end], 1))
            none = start == end  # not even the slope that a solve begins with
            return states[1], stats._replace(nfe=jnp.where(none, 0, stats.nfe))
        solve, interval = self.block.solve, (start, end - start, args)
        steps = self._few_steps()
        if not steps:
            return self.block(z, interval)
        stretched: Any = self.block.field
        z = solve_unrolled(lambda s, z: stretched(s, z, interval), z, solve, 0.0, 1.0)
        first, each = evaluations(make_solver(solve.solver, solve.rtol, solve.atol), adaptive=False)
        counts = (first + each * steps, steps, 0, 0)
        shape = (len(z),) if solve.per_sample else ()
        return z, Stats(*(jnp.full(shape, count, jnp.int32) for count in counts))

    def _few_steps(self) -> int:
        """How many fixed steps are written out; 0 for none."""
        solve = self.block.solve
        facts = solve.solver_facts
        if solve.step_size is None or facts.implicit or facts.multistep:
            return 0
        steps = grid_steps(solve.step_size, 1.0)
        return steps if steps <= FEW_STEPS else 0
