"""A backward solve that does not reach t0 gives NaN instead of a wrong gradient.

Diffrax has no way to report how a backward solve ended, so a clock runs along: one more number τ in
the state, whose slope is one more argument c = 0 of the field. With ∂L/∂τ set to 1 at t1, the
adjoint method integrates ∂L/∂c to t1 - t0 exactly if its solve is complete. The norms of
`jaxode.ode.compat` leave the clock out, so that it changes no step.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from jaxode.ode.stepping import spread

_SLACK = 1e-3
"""Relative error allowed in the length; a solve that stops early misses it by its remaining time.
"""


def with_clock(field: Callable[[Any, Any, Any], Any]) -> Callable[[Any, Any, Any], Any]:
    """The field of a state (z, τ) and arguments (args, c)."""
    return lambda t, state, args: (field(t, state[0], args[0]), args[1])


def start_clock(
    z0: Any, args: Any, zero: Any, span: float
) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """State (z0, τ) and arguments (args, c) whose gradients are NaN unless the clock returns.

    It returns with the span when the backward solve reaches t0.

    `zero` is a clock at rest; or [B] of them where every image of z0 is solved by itself, with a τ
    and a c of its own. Then this stands outside of what is mapped over images, where JAX has summed
    over them the gradients of `args`.
    """

    @jax.custom_vjp
    def guard(z0: Any, args: Any, slope: Any) -> tuple[Any, Any, Any]:
        return z0, args, slope

    def forward(z0: Any, args: Any, slope: Any) -> tuple[tuple[Any, Any, Any], None]:
        return (z0, args, slope), None

    def backward(_: None, cotangents: tuple[Any, Any, Any]) -> tuple[Any, Any, Any]:
        to_z0, to_args, elapsed = cotangents
        complete = jnp.abs(jnp.abs(elapsed) - span) <= _SLACK * span

        def poison(complete: Any, leaf: Any) -> Any:
            floating = jnp.issubdtype(leaf.dtype, jnp.floating)
            return jnp.where(spread(complete, leaf), leaf, jnp.nan) if floating else leaf

        to_z0 = jax.tree.map(partial(poison, complete), to_z0)
        return (
            to_z0,
            jax.tree.map(partial(poison, complete.all()), to_args),
            jnp.zeros_like(elapsed),
        )

    guard.defvjp(forward, backward)
    z0, args, slope = guard(z0, args, zero)
    return (z0, zero), (args, slope)


@jax.custom_vjp
def read_clock(state: tuple[Any, Any]) -> Any:
    """z1 of a state (z1, τ); on the way back, the clock is set going."""
    return state[0]


def _read_forward(state: tuple[Any, Any]) -> tuple[Any, Any]:
    return state[0], state[1]


def _read_backward(clock: Any, cotangent: Any) -> tuple[tuple[Any, Any]]:
    return ((cotangent, jnp.ones_like(clock)),)


read_clock.defvjp(_read_forward, _read_backward)
