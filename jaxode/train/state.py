"""Everything that changes while a model trains, as one pytree."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int, PyTree

from jaxode.config import Precision
from jaxode.nn import BackwardSolveCost, SolveStats
from jaxode.nn.regularisation import Penalty, TrainingDraws
from jaxode.optim import Transform
from jaxode.train.scaling import Scale, initial_scale
from jaxode.types import Params


def zeros(*shape: int, dtype: DTypeLike = jnp.int32) -> Array:
    """Zeros in a buffer of their own, for which nothing is compiled.

    Args:
        shape: of the array.
        dtype: of the array.
    """
    return jax.device_put(np.zeros(shape, dtype))


class BackwardTotals(NamedTuple):
    """Sums over the backward solves of training steps, with one entry a module that has them.

    Checkpoints of runs that began before backward solves were counted have none, so the number of
    solves that were counted is kept beside them.
    """

    solves: Int[Array, ""]
    nfe: Int[Array, " modules"]
    accepted: Int[Array, " modules"]
    rejected: Int[Array, " modules"]

    @classmethod
    def zero(cls, modules: int) -> BackwardTotals:
        """Of no solves.

        Args:
            modules: number of modules that are differentiated by a backward solve.
        """
        return cls(zeros(), zeros(modules), zeros(modules), zeros(modules))


class Totals(NamedTuple):
    """Sums over the batches of one pass over a split, and the first failure in it.

    `failure` is 0, or the code of the first failed ODE solve (`jaxode.ode.explain_failure`).
    `broken` is 0, or 1 when a loss was not finite, 2 when an update made a parameter not finite, 3
    when no scale of the loss kept the gradient finite. `bad_batch` is the batch of the pass, from
    0, in which that happened, else -1. ODE counts have one entry a block and are sums over the
    pass's `solves` of that block: one a batch, or one for each part of a batch that is solved by
    itself, be it a single image.
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
    penalty: Float[Array, ""] | None = None
    """Of regularisers; None without any, and in evaluation."""
    backward: BackwardTotals | None = None
    """Of backward solves; None in evaluation and where none are counted."""

    @classmethod
    def zero(
        cls,
        blocks: int,
        dtype: DTypeLike = jnp.float32,
        *,
        regularised: bool = False,
        backward: int = 0,
    ) -> Totals:
        """Totals of no batches.

        Args:
            blocks: ODE blocks of the model; 0 for one without.
            dtype: of the loss.
            regularised: whether they are of training with regularisers.
            backward: how many modules have backward solves that are counted.
        """
        # Every field has its own buffer: a donated state must not hold one buffer twice.
        return cls(
            loss=zeros(dtype=dtype),
            images=zeros(),
            batches=zeros(),
            solves=zeros(),
            nfe=zeros(blocks),
            accepted=zeros(blocks),
            rejected=zeros(blocks),
            failure=zeros(),
            broken=zeros(),
            bad_batch=jax.device_put(np.int32(-1)),
            penalty=zeros(dtype=dtype) if regularised else None,
            backward=BackwardTotals.zero(backward) if backward else None,
        )


class Learned(NamedTuple):
    """A model's parameters, and what it keeps of the batches it has seen."""

    params: Params
    statistics: PyTree


class TrainState(NamedTuple):
    """Everything that changes while a model trains.

    `statistics` are what a model keeps of the batches it has seen (batch norm's means and
    variances), which no gradient reaches; most models have none.
    """

    params: Params
    opt_state: PyTree
    step: Int[Array, ""]
    totals: Totals
    scale: Scale | None = None
    statistics: PyTree = ()

    @property
    def learned(self) -> Learned:
        """All that the model has learned."""
        return Learned(self.params, self.statistics)


def split_model(model: nnx.Module) -> tuple[nnx.GraphDef[nnx.Module], Learned]:
    """The graph definition, parameters and statistics of a model.

    Args:
        model: any module; statistics of solves are dropped from it.

    Returns:
        Graph definition, and parameters with statistics.

    Raises:
        ValueError: it has any other state.
    """
    nnx.pop(model, (SolveStats, BackwardSolveCost, Penalty, TrainingDraws))
    graphdef, params, statistics = nnx.split(model, nnx.Param, nnx.BatchStat)
    return graphdef, Learned(params, statistics)


def initial_state(
    learned: Learned,
    transform: Transform,
    blocks: int,
    precision: Precision = "float32",
    *,
    regularised: bool = False,
    backward: int = 0,
) -> TrainState:
    """State before the first step; its sums have the floating-point type of the parameters.

    Args:
        learned: of the model.
        transform: the optimizer's.
        blocks: ODE blocks of the model.
        precision: of the run.
        regularised: whether the model has regularisers (`regularised_modules`).
        backward: how many of its modules have backward solves that are counted.
    """
    params, statistics = learned
    dtype = jnp.result_type(*jax.tree.leaves(params))
    totals = Totals.zero(blocks, dtype, regularised=regularised, backward=backward)
    step, scale = zeros(), initial_scale(precision)
    return TrainState(params, transform.init(params), step, totals, scale, statistics)
