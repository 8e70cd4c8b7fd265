"""Derivatives of a solution with respect to its times, for solves that have none of their own.

∂z(t)/∂t = f(t, z), and moving the start is moving the initial state against the field:
∂z/∂t0 = -(∂z/∂z0) f(t0, z0). Both are attached as terms that are zero.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jaxode.ode.buffers import broadcast_time, spread
from jaxode.ode.times import Span
from jaxode.types import Answer, Args, State, Times, VectorField


def with_time_gradients(
    field: VectorField, z0: State, args: Args, span: Span, *, single: bool
) -> tuple[State, Callable[[Answer], Answer]]:
    """The initial state with the gradient of t0, and a function that attaches those of the outputs.

    Args:
      field: t, z, args → dz/dt.
      z0: state at t0.
      args: what the field reads.
      span: start, direction and output times, traced.
      single: whether the outputs are the state at the only output time.
    """
    args = lax.stop_gradient(args)

    def moved(t: Times, z: State) -> State:
        """The state, whose derivative with respect to t is the field's value."""
        fixed, z_fixed = lax.stop_gradient((t, z))
        slope = lax.stop_gradient(field(broadcast_time(fixed, z_fixed), z_fixed, args))
        return jax.tree.map(lambda a, f: a + spread(t - fixed, f) * f, z, slope)

    def attach(states: Answer) -> Answer:
        if single:
            return moved(span.clock(span.outputs[0]), states)
        each = [
            moved(span.clock(span.outputs[i]), jax.tree.map(lambda leaf, i=i: leaf[i], states))
            for i in range(span.outputs.shape[0])
        ]
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *each)

    return _against(moved, span.t0, z0), attach


def _against(
    moved: Callable[[Times, State], State], t0: Float[Array, "*samples"], z0: State
) -> State:
    return moved(2 * lax.stop_gradient(t0) - t0, z0)
