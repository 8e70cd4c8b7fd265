"""Everything that changes while a model trains, as one pytree."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from jaxode.config import Precision
from jaxode.optim import Transform
from jaxode.train.scaling import Scale, initial_scale
from jaxode.types import Params


class Totals(NamedTuple):
    """Running sums over the batches of one pass over images, and the first thing that went wrong in it.

    `failure` is 0, or the code of the first failed ODE solve (`jaxode.ode.explain_failure`). `broken` is 0, or 1
    when a loss was not finite, 2 when an update made a parameter not finite, 3 when no scale of the loss kept the
    gradient finite. `bad_batch` is the batch of the pass, from 0, in which that happened, else -1. ODE counts have one
    entry a block and are sums over the pass's `solves` of that block: one a batch, or one for each part of a batch
    that is solved by itself, be it a single image.
    """

    loss: Float[Array, ""]
    images: Int[Array, ""]
    batches: Int[Array, ""]
    solves: Int[Array, ""]
    nfe: Int[Array, " blocks"]
    accepted: Int[Array, " blocks"]
    rejected: Int[Array, " blocks"]
    failure: Int[Array, ""]
    broken: Int[Array, ""]
    bad_batch: Int[Array, ""]

    @classmethod
    def zero(cls, blocks: int, dtype: Any = jnp.float32) -> Totals:
        """Totals of no batches, for a chain of `blocks` ODE blocks (0 for a model without)."""
        count = jnp.zeros((), jnp.int32)
        counts = jnp.zeros((blocks,), jnp.int32)
        # Every field has its own buffer: a donated state must not hold one buffer twice.
        return cls(
            loss=jnp.zeros((), dtype),
            images=count,
            batches=count + 0,
            solves=count + 0,
            nfe=counts,
            accepted=counts + 0,
            rejected=counts + 0,
            failure=count + 0,
            broken=count + 0,
            bad_batch=count - 1,
        )


class TrainState(NamedTuple):
    """Parameters, optimiser state, steps taken since the start of the run, this epoch's totals, float16's scale."""

    params: Params
    opt_state: Any
    step: Int[Array, ""]
    totals: Totals
    scale: Scale | None = None


def split_model(model: nnx.Module) -> tuple[nnx.GraphDef[Any], Params]:
    """Graph definition and parameters of a model. Raises ValueError if it has any state besides nnx.Param."""
    return nnx.split(model, nnx.Param)


def initial_state(params: Params, transform: Transform, blocks: int, precision: Precision = "float32") -> TrainState:
    """State before the first step; its sums have the floating-point type of the parameters."""
    totals = Totals.zero(blocks, jnp.result_type(*jax.tree.leaves(params)))
    return TrainState(params, transform.init(params), jnp.zeros((), jnp.int32), totals, initial_scale(precision))
