"""Norms by which Diffrax's backward solve accepts steps: they leave the clock out.

The clock is `jaxode.ode.guard`'s.
"""

from __future__ import annotations

from jaxtyping import Array, Float, PyTree

from jaxode.ode.norms import rms_norm
from jaxode.types import Args, State

WithClock = tuple[State, Float[Array, ""]]
"""A state (z, τ) with a clock (`jaxode.ode.guard`), or its adjoint."""

AdjointState = tuple[WithClock, WithClock, tuple[tuple[Args, Args], PyTree], PyTree]
"""Diffrax's adjoint state (y, a_y, a_args, a_terms) of such a solve.

Its args are ((args, numbers), (c, cost)), with the numbers of `jaxode.ode.encoded_inputs` and the
counts of `jaxode.ode.counted_backsolve`. The norms below leave the clock, the numbers and the
counts out.
"""

Size = Float[Array, ""]


def forward_norm(state: WithClock) -> Size:
    """RMS over z."""
    return rms_norm(state[0])


def pooled_norm(adjoint_state: AdjointState) -> Size:
    """As Diffrax: RMS over z, its adjoint and all gradients together."""
    y, a_y, ((a_args, _), _), a_terms = adjoint_state
    return rms_norm((y[0], a_y[0], a_args, a_terms))


def pooled_seminorm(adjoint_state: AdjointState) -> Size:
    """RMS over z and its adjoint together (Kidger, Chen and Lyons 2021)."""
    y, a_y, _, _ = adjoint_state
    return rms_norm((y[0], a_y[0]))
