"""Loss and solver statistics of a batch, summed over micro-batches and devices."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, cast

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from jaxode.distributed.mesh import ONE_DEVICE, Collectives
from jaxode.nn import begin_training, end_training, solve_stats
from jaxode.nn.regularisation import regularised_modules
from jaxode.nn.solve_stats import take_costs
from jaxode.ode import BackwardCost, Stats
from jaxode.tasks import Batch, Task
from jaxode.tasks.base import example_count, takes_training
from jaxode.train.state import BackwardTotals, Learned
from jaxode.types import Training


class BatchStats(NamedTuple):
    """What a micro-batch adds to the totals.

    Those of two micro-batches add up, but for `failure`, the larger code.
    """

    loss: Float[Array, ""]
    images: Int[Array, ""]
    solves: Int[Array, ""]
    nfe: Int[Array, " blocks"]
    accepted: Int[Array, " blocks"]
    rejected: Int[Array, " blocks"]
    failure: Int[Array, ""]
    penalty: Float[Array, ""] | None = None
    """What regularisers add to the loss that is differentiated; None without any."""
    backward: BackwardTotals | None = None
    """Of the backward solves; None where none are counted."""

    @property
    def objective(self) -> Float[Array, ""]:
        """The loss that is differentiated."""
        return self.loss if self.penalty is None else self.loss + self.penalty


class MicroBatches(NamedTuple):
    """How a batch is divided: into `count` micro-batches in turn, each of them across devices."""

    count: int = 1
    across: Collectives = ONE_DEVICE


WHOLE_BATCH = MicroBatches()
"""One micro-batch on one device."""


def solver_stats(stats: Stats, weight: Float[Array, " B"]) -> tuple[Int[Array, ""], Stats]:
    """Number of solves of a block, and statistics with one element a block.

    With per-sample step sizes counts are summed over the examples of weight above 0, for padding
    counts for nothing; but the failure is that of any example.

    Args:
        stats: [blocks], or [blocks, B] with per-sample step sizes.
        weight: 0 is padding.
    """
    if stats.nfe.ndim == 1:
        return jnp.ones((), jnp.int32), stats
    summed = Stats(
        *(jnp.sum(jnp.where(weight > 0, counts, 0), 1, dtype=jnp.int32) for counts in stats)
    )
    return example_count(weight), summed._replace(failure=stats.failure.max(1))


def backward_totals(
    costs: list[BackwardCost], weight: Float[Array, " B"], solves: Int[Array, ""]
) -> BackwardTotals:
    """Sums of the costs of backward solves over a micro-batch, without padding.

    Args:
        costs: of each module: numbers, or [B] with per-sample step sizes.
        weight: 0 is padding.
        solves: of a module.
    """

    def total(counts: Float[Array, "*samples"]) -> Int[Array, ""]:
        whole = jnp.round(counts).astype(jnp.int32)
        return jnp.sum(jnp.where(weight > 0, whole, 0), dtype=jnp.int32) if whole.ndim else whole

    sums = [jnp.stack([total(count) for count in counts]) for counts in zip(*costs, strict=True)]
    return BackwardTotals(solves, *sums)


class Forward(NamedTuple):
    """The results of a model and its task for a micro-batch."""

    loss: Float[Array, ""]
    outputs: PyTree
    stats: Stats
    """Of the solves: [blocks], or [blocks, B] with per-sample step sizes."""
    statistics: PyTree
    """Batch norm's running statistics after it."""
    penalty: Float[Array, ""] | None = None
    """Of regularisers, in training."""


def forward(
    graphdef: nnx.GraphDef[nnx.Module],
    learned: Learned,
    task: Task,
    batch: Batch,
    total: Float[Array, ""],
    key: PRNGKeyArray | None = None,
    costs: list[BackwardCost] | None = None,
) -> Forward:
    """Loss, outputs and solver statistics of a model.

    Args:
        graphdef: of the model, as `split_model` returns it.
        learned: its parameters and statistics.
        task: gives the loss.
        batch: a micro-batch.
        total: sum of the whole batch's weights.
        key: of the whole batch, in training.
        costs: zeros whose gradients are the costs of the backward solves, if they are counted.
    """
    model = nnx.merge(graphdef, *learned, copy=True)  # statistics change where the call is traced
    if costs is not None:
        take_costs(model, costs)
    key = key if regularised_modules(model) else None
    if key is not None:
        begin_training(model, Training(batch["key"], batch["weight"]), key, total)
    recorder = _StatsRecorder(model)
    loss, outputs = task.loss(recorder, batch, total)  # type: ignore[arg-type]
    penalty = None if key is None else end_training(model).astype(batch["weight"].dtype)
    return Forward(loss, outputs, recorder.stats, nnx.state(model, nnx.BatchStat), penalty)


class _StatsRecorder:
    """A model whose solver statistics are kept aside.

    A model returns its outputs, or (outputs, Stats of all its solves). In the first case the
    statistics are those of its ODE blocks.
    """

    def __init__(self, model: nnx.Module) -> None:
        self.model, self.stats = model, Stats.chain([])

    def __call__(self, inputs: PyTree, training: Training | None = None) -> PyTree:
        call = cast("Callable[..., PyTree]", self.model)
        outputs = call(inputs, training) if takes_training(self.model) else call(inputs)
        if isinstance(outputs, tuple) and len(outputs) == 2 and isinstance(outputs[1], Stats):
            outputs, self.stats = outputs
        else:
            self.stats = solve_stats(self.model)
        return outputs


def forward_and_loss(
    graphdef: nnx.GraphDef[nnx.Module],
    learned: Learned,
    task: Task,
    batch: Batch,
    total: Float[Array, ""],
    key: PRNGKeyArray | None = None,
    costs: list[BackwardCost] | None = None,
) -> tuple[Forward, BatchStats]:
    """The results of a model and its task for a micro-batch.

    Args:
        graphdef: of the model, as `split_model` returns it.
        learned: its parameters and statistics.
        task: gives the loss.
        batch: a micro-batch.
        total: sum of the whole batch's weights.
        key: of the whole batch, in training.
        costs: of the backward solves, as `forward` takes them.

    Returns:
        The results, whose loss is the share of the whole batch's mean, and statistics that add up.
    """
    result = forward(graphdef, learned, task, batch, total, key, costs)
    solves, stats = solver_stats(result.stats, batch["weight"])
    # One number for the chain: the first block that failed is what made the later ones fail.
    codes = stats.failure
    counts = BatchStats(
        loss=result.loss,
        images=example_count(batch["weight"]),
        solves=solves,
        nfe=stats.nfe,
        accepted=stats.accepted,
        rejected=stats.rejected,
        failure=codes[jnp.argmax(codes > 0)] if codes.shape[0] else jnp.zeros((), jnp.int32),
        penalty=result.penalty,
    )
    return result, counts


def add_stats(one: BatchStats, other: BatchStats) -> BatchStats:
    """The statistics of two micro-batches."""
    added = jax.tree.map(jnp.add, one, other)
    return added._replace(failure=jnp.maximum(one.failure, other.failure))


def accumulate(
    work: Callable[[PyTree], tuple[PyTree, BatchStats]], rows: PyTree, division: MicroBatches
) -> tuple[PyTree, BatchStats]:
    """The sum over all micro-batches of the results of `work` for each.

    Args:
        work: rows of one micro-batch → (pytree to be added, statistics).
        rows: pytree of arrays with one row for each example of the batch.
        division: into micro-batches and devices, whose numbers divide the number of rows.
    """

    def of_part(rows: PyTree) -> tuple[PyTree, BatchStats]:
        return work(division.across.share(rows))

    if division.count == 1:
        result, counts = of_part(rows)
    else:
        parts = jax.tree.map(lambda leaf: leaf.reshape(division.count, -1, *leaf.shape[1:]), rows)
        shapes = jax.eval_shape(of_part, jax.tree.map(lambda leaf: leaf[0], parts))
        nothing = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)

        def add(
            sums: tuple[PyTree, BatchStats], part: PyTree
        ) -> tuple[tuple[PyTree, BatchStats], None]:
            result, counts = of_part(part)
            return (jax.tree.map(jnp.add, sums[0], result), add_stats(sums[1], counts)), None

        (result, counts), _ = jax.lax.scan(add, nothing, parts)
    failure = division.across.largest(counts.failure)
    result, counts = division.across.sum((result, counts))
    return result, counts._replace(failure=failure)
