"""Diffrax's backward solve, which tells what it cost.

Diffrax drops the statistics of the backward solve. They are added here to the adjoint of arguments
that the field does not read, whose gradient is otherwise zero. The norms of
`jaxode.ode.backsolve_norms` leave these numbers out, so that they change no step.
"""

from __future__ import annotations

from typing import Any

import diffrax
import equinox
import jax
import jax.numpy as jnp

from jaxode.ode.adjoint_state import BackwardCost


class CountedLoop(diffrax.AbstractAdjoint):
    """The loop of a backward solve, at whose end its counts are in the adjoint state.

    Args:
      inner: whose loop it is.
      start: evaluations of the vector field that a solve begins with.
      per_step: evaluations in every step tried.
    """

    inner: diffrax.BacksolveAdjoint
    start: int = equinox.field(static=True)
    per_step: int = equinox.field(static=True)

    def loop(self, **kwargs: Any) -> Any:
        """Solve, of a state (y, a_y, (a_args, (a_c, a_cost)), a_terms), and count in a_cost."""
        final, more = self.inner.loop(**kwargs)
        cost = final.save_state.ys[2][1][1]
        if cost is None:
            return final, more
        tried, accepted = final.num_steps, final.num_accepted_steps
        counts = BackwardCost(self.start + self.per_step * tried, accepted, tried - accepted)
        # Saved once, at the end: an axis of one stands before every array.
        cost = jax.tree.map(lambda leaf, count: leaf + jnp.asarray(count, leaf.dtype), cost, counts)
        return equinox.tree_at(lambda state: state.save_state.ys[2][1][1], final, cost), more
