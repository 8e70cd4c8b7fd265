"""The state of the adjoint ODE, its norm, and what its solve costs."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxode.ode.norms import rms_norm
from jaxode.ode.stepsize import Norm
from jaxode.types import State, Time, Times


class AdjointState(NamedTuple):
    """What the backward solve integrates."""

    to_time: Time
    """∂L/∂s."""
    z: State
    to_z: State
    """∂L/∂z."""
    to_real: list[Float[Array, "..."]]
    """Gradients of the field's real inputs but the shift of its time."""


class BackwardCost(NamedTuple):
    """What a backward solve cost, as numbers of the state's type.

    They travel as the gradient of an argument that is zero: a gradient has no other way to report.
    With per-sample step sizes the argument may have an element for each sample, or be one number,
    whose gradient is the sum over samples.

    Args:
      nfe: vector field evaluations, each with its pullback, as the method counts them.
      accepted: number of accepted steps.
      rejected: number of rejected steps.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from jaxode import SolveConfig
      >>> from jaxode.ode import BackwardCost, odeint
      >>> config = SolveConfig("dopri5", gradient="backsolve", stepping="torchdiffeq")
      >>> def loss(z0, cost):
      ...     z1, _ = odeint(lambda t, z, a: -z, z0, None, config, backward_cost=cost)
      ...     return z1.sum()
      >>> cost = jax.grad(loss, argnums=1)(jnp.ones(2), BackwardCost(*jnp.zeros(3)))
      >>> int(cost.nfe) == 2 + 6 * int(cost.accepted + cost.rejected)
      True
    """

    nfe: Times
    accepted: Times
    rejected: Times


def for_each_sample(cost: BackwardCost, z0: State) -> BackwardCost:
    """The costs of the solves of samples, each by itself: [B] of one number or [B].

    Args:
      cost: numbers or arrays [B].
      z0: one array [B, ...].
    """
    count = jax.tree.leaves(z0)[0].shape[0]
    return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (count,)), cost)


def adjoint_norm(state_norm: Norm, state: AdjointState, *, seminorm: bool) -> Float[Array, ""]:
    """Torchdiffeq's norm of an adjoint state, or its seminorm."""
    sizes = [jnp.abs(state.to_time), state_norm(state.z), state_norm(state.to_z)]
    if not seminorm:
        sizes += [rms_norm(leaf) for leaf in state.to_real if leaf.size]
    return jnp.max(jnp.stack(sizes))
