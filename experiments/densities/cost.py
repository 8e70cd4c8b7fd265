"""The log-likelihood of test points under a trained flow, against function evaluations."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float

from jaxode.models import ContinuousFlow
from jaxode.plots.likelihood_cost import Cost

TOLERANCES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)

MOST_POINTS = 2000
"""Test points that are judged, in one solve."""


def measured(flow: ContinuousFlow, points: Float[np.ndarray, "N D"]) -> list[Cost]:
    """Mean log-likelihood and evaluations at each tolerance, in float64.

    Args:
      flow: a trained flow, which is left as it is.
      points: the first of which are taken.

    Raises:
      SolveError: a solve failed.
    """
    graph, state = nnx.split(flow)
    precise = nnx.merge(graph, jax.tree.map(_double, state))
    x, found = jnp.asarray(points[:MOST_POINTS], jnp.float64), []
    for tolerance in TOLERANCES:
        precise.solve = dataclasses.replace(flow.solve, rtol=tolerance, atol=tolerance)
        log_p, stats = jax.jit(lambda x, flow=precise: flow.log_prob(x))(x)
        nfe = float(jnp.mean(stats.check().nfe))
        found.append(Cost(tolerance, nfe, float(log_p.mean())))
    return found


def _double(leaf: jax.Array) -> jax.Array:
    return leaf.astype(jnp.float64) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf
