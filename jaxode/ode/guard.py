"""A backward solve that does not reach t0 gives NaN instead of a wrong gradient.

Diffrax has no way to report how a backward solve ended, so a clock runs along: one more number τ in
the state, whose slope is one more argument c = 0 of the field. With ∂L/∂τ set to 1 at t1, the
adjoint method integrates ∂L/∂c to t1 - t0 exactly if its solve is complete. The norms of
`jaxode.ode.backsolve_norms` leave the clock out, so that it changes no step.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Shaped

from jaxode.ode.buffers import spread
from jaxode.types import Args, EndTime, Flags, State, StateLike, Times, VectorField

_SLACK = 1e-3
"""Relative error allowed in the length; a solve that stops early misses it by its remaining time.
"""


def with_clock(field: VectorField) -> VectorField:
    """The field of a state (z, τ) and arguments (args, (c, …)), the rest of which it ignores."""
    return lambda t, state, args: (field(t, state[0], args[0]), args[1][0])


def start_clock(
    z0: StateLike, args: Args, zero: Times, span: EndTime
) -> tuple[tuple[StateLike, Times], tuple[Args, Times]]:
    """State (z0, τ) and arguments (args, c) whose gradients are NaN unless the clock returns.

    It returns with the span when the backward solve reaches t0.

    Args:
      z0: state at t0.
      args: what the field reads.
      zero: a clock at rest []; or one for each sample [B] where every sample of z0 is solved by
        itself, with a τ and a c of its own. Call this outside of the map over samples then, where
        JAX has summed the gradients of `args` over them.
      span: t1 - t0.
    """

    @jax.custom_vjp
    def guard(z0: StateLike, args: Args, slope: Times) -> tuple[StateLike, Args, Times]:
        return z0, args, slope

    def forward(
        z0: StateLike, args: Args, slope: Times
    ) -> tuple[tuple[StateLike, Args, Times], None]:
        return (z0, args, slope), None

    def backward(
        _: None, cotangents: tuple[StateLike, Args, Times]
    ) -> tuple[StateLike, Args, Times]:
        to_z0, to_args, elapsed = cotangents
        complete = jnp.abs(jnp.abs(elapsed) - span) <= _SLACK * span
        to_z0 = jax.tree.map(partial(_poison, complete), to_z0)
        to_args = jax.tree.map(partial(_poison, complete.all()), to_args)
        return to_z0, to_args, jnp.zeros_like(elapsed)

    guard.defvjp(forward, backward)
    z0, args, slope = guard(z0, args, zero)
    return (z0, zero), (args, slope)


Cotangent = Shaped[Array, "..."] | Shaped[np.ndarray, "..."]
"""Of an array; JAX's of an integer is a NumPy array of type float0."""


def _poison(complete: Flags, leaf: Cotangent) -> Cotangent:
    """The cotangent, or NaN where the backward solve is not complete."""
    if not (isinstance(leaf, Array) and jnp.issubdtype(leaf.dtype, jnp.floating)):
        return leaf
    return jnp.where(spread(complete, leaf), leaf, jnp.nan)


@jax.custom_vjp
def read_clock(state: tuple[State, Times]) -> State:
    """z1 of a state (z1, τ); on the way back, the clock is started."""
    return state[0]


def _read_forward(state: tuple[State, Times]) -> tuple[State, Times]:
    return state[0], state[1]


def _read_backward(clock: Times, cotangent: State) -> tuple[tuple[State, Times]]:
    return ((cotangent, jnp.ones_like(clock)),)


read_clock.defvjp(_read_forward, _read_backward)
