"""One training step, one evaluation batch, and the two compiled loops over many of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from jaxode.data import Views
from jaxode.nn.solve_stats import zero_costs
from jaxode.ode import BackwardCost, Stats
from jaxode.optim import Transform, update
from jaxode.tasks import Batch, Metrics, Task
from jaxode.train.device_batches import Batches
from jaxode.train.microbatch import (
    WHOLE_BATCH,
    BatchStats,
    MicroBatches,
    accumulate,
    backward_totals,
    forward,
    forward_and_loss,
)
from jaxode.train.scaling import SMALLEST, after, chosen, scaled, unscaled
from jaxode.train.state import Learned, Totals, TrainState
from jaxode.train.step_log import StepLog, StepRecord, norm
from jaxode.types import Params

LOSS_NOT_FINITE, PARAMETERS_NOT_FINITE, SCALE_TOO_SMALL = 1, 2, 3


class Evaluated(NamedTuple):
    """Sums over the batches of an evaluation: losses and solver statistics, and the metrics."""

    totals: Totals
    metrics: Metrics


class Work(NamedTuple):
    """What the compiled loops are made of; none of it is an array."""

    graphdef: nnx.GraphDef[Any]
    task: Task
    views: Views
    division: MicroBatches = WHOLE_BATCH


def all_finite(tree: Any) -> Bool[Array, ""]:
    """Whether every number of a pytree is finite."""
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)]))


def add_batch(totals: Totals, batch: BatchStats, update: Int[Array, ""] | int = 0) -> Totals:
    """Totals with one batch added, whose loss is its weighted mean.

    A batch in which something fails ends the pass.

    Args:
        totals: before.
        batch: what the batch adds.
        update: the code of what the update broke, or 0.
    """
    penalty = totals.penalty
    if penalty is not None and batch.penalty is not None:
        penalty = penalty + batch.penalty * batch.images
    backward = totals.backward
    if backward is not None and batch.backward is not None:
        backward = jax.tree.map(jnp.add, backward, batch.backward)
    broken = jnp.where(jnp.isfinite(batch.objective), update, LOSS_NOT_FINITE).astype(jnp.int32)
    failure = batch.failure.astype(jnp.int32)
    return Totals(
        loss=totals.loss + batch.loss * batch.images,
        images=totals.images + batch.images,
        batches=totals.batches + 1,
        solves=totals.solves + batch.solves,
        nfe=totals.nfe + batch.nfe,
        accepted=totals.accepted + batch.accepted,
        rejected=totals.rejected + batch.rejected,
        failure=failure,
        broken=broken,
        bad_batch=jnp.where((failure > 0) | (broken > 0), totals.batches, -1),
        penalty=penalty,
        backward=backward,
    )


def train_step(
    graphdef: nnx.GraphDef[Any],
    task: Task,
    transform: Transform,
    state: TrainState,
    rows: Any,
    total: Float[Array, ""],
    read: Callable[[Any], Batch],
    division: MicroBatches = WHOLE_BATCH,
    key: PRNGKeyArray | None = None,
) -> tuple[TrainState, StepRecord]:
    """The state after one update with the gradient of the batch's mean loss, and its record.

    The penalties of regularisers, if there are any, are part of that loss, but not of the recorded
    one.

    Args:
        graphdef: the model's.
        task: whose loss is differentiated.
        transform: the update rule.
        state: before the step.
        rows: pytree of arrays with one row for each example of the batch.
        total: sum of the weights of all rows.
        read: some of the rows → the micro-batch that the model is shown.
        division: into micro-batches and devices.
        key: of the whole batch, for regularisers; without one they have no effect.
    """

    def work(rows: Any) -> tuple[Learned, BatchStats]:
        batch = read(rows)

        def objective(
            params: Params, costs: list[BackwardCost] | None
        ) -> tuple[Array, tuple[BatchStats, Any]]:
            learned = Learned(params, state.statistics)
            found, counts = forward_and_loss(graphdef, learned, task, batch, total, key, costs)
            return scaled(counts.objective, state.scale), (counts, found.statistics)

        costs = None
        if state.totals.backward is not None:
            weight = batch["weight"]
            costs = zero_costs(nnx.merge(graphdef, *state.learned), len(weight), weight.dtype)
        slope = jax.grad(objective, (0, 1), has_aux=True)
        (gradient, costs), (counts, statistics) = slope(state.params, costs)
        if costs is not None:
            found = backward_totals(costs, batch["weight"], counts.solves)
            counts = counts._replace(backward=found)
        # Every micro-batch has statistics of its own, which count as much as its examples.
        share = jnp.sum(batch["weight"]) / total
        return Learned(gradient, jax.tree.map(lambda leaf: share * leaf, statistics)), counts

    (gradient, statistics), counts = accumulate(work, rows, division)
    gradient, scale = unscaled(gradient, state.scale), state.scale
    params, opt_state = update(transform, gradient, state.opt_state, state.params)
    if scale is not None:
        good = all_finite(gradient)
        old = state.params, state.opt_state, state.statistics
        params, opt_state, statistics = chosen(good, (params, opt_state, statistics), old)
        scale = after(scale, good)
    broken = jnp.where(all_finite(params), 0, PARAMETERS_NOT_FINITE)
    if scale is not None:
        broken = jnp.where(scale.factor < SMALLEST, SCALE_TOO_SMALL, broken)
    totals = add_batch(state.totals, counts, broken)
    after_step = TrainState(params, opt_state, state.step + 1, totals, scale, statistics)
    return after_step, StepRecord.of(counts, norm(gradient))


def train_chunk(
    work: Work,
    transform: Transform,
    state: TrainState,
    log: StepLog,
    batches: Batches,
    epoch_key: PRNGKeyArray,
    stop: Int[Array, ""],
) -> tuple[TrainState, StepLog]:
    """Train on the batches of an epoch from where the totals stand to before batch `stop`.

    Batch r draws its randomness from fold_in(epoch_key, r) alone, so where the chunks are cut
    changes nothing. A failure ends it early.
    """

    def read(rows: tuple[Any, Any, Any]) -> Batch:
        examples, weight, key = rows
        return work.views.training({**batches.read(examples), "weight": weight, "key": key})

    def body(carry: tuple[TrainState, StepLog]) -> tuple[TrainState, StepLog]:
        state, log = carry
        row = state.totals.batches
        examples, weights = batches.rows(row)
        weights = weights.astype(state.totals.loss.dtype)
        key = jax.random.fold_in(epoch_key, row)
        keys = jax.random.split(key, weights.shape[0])
        rows, total = (examples, weights, keys), jnp.sum(weights)
        state, record = train_step(
            work.graphdef, work.task, transform, state, rows, total, read, work.division, key
        )
        return state, log.with_row(row, record)

    def going(carry: tuple[TrainState, StepLog]) -> Bool[Array, ""]:
        totals = carry[0].totals
        return (totals.batches < stop) & (totals.bad_batch < 0)

    return jax.lax.while_loop(going, body, (state, log))


def evaluation_chunk(
    work: Work,
    learned: Learned,
    evaluated: Evaluated,
    batches: Batches,
    start: Int[Array, ""],
    stop: Int[Array, ""],
) -> Evaluated:
    """Add the batches start + totals.batches, ..., stop - 1.

    A failure ends it early.
    """

    def body(evaluated: Evaluated) -> Evaluated:
        totals = evaluated.totals
        examples, weights = batches.rows(start + totals.batches)
        weights = weights.astype(totals.loss.dtype)
        total = jnp.sum(weights)

        def of_part(rows: tuple[Any, Any]) -> tuple[Metrics, BatchStats]:
            examples, weight = rows
            batch = work.views.evaluation({**batches.read(examples), "weight": weight})
            found, counts = forward_and_loss(work.graphdef, learned, work.task, batch, total)
            return work.task.metrics(found.outputs, batch), counts

        metrics, counts = accumulate(of_part, (examples, weights), work.division)
        sums = jax.tree.map(jnp.add, evaluated.metrics, metrics)
        return Evaluated(add_batch(totals, counts), sums)

    def going(evaluated: Evaluated) -> Bool[Array, ""]:
        totals = evaluated.totals
        return (start + totals.batches < stop) & (totals.bad_batch < 0)

    return jax.lax.while_loop(going, body, evaluated)


def predict_batch(
    work: Work,
    learned: Learned,
    batches: Batches,
    row: Int[Array, ""],
) -> tuple[dict[str, Array], Stats]:
    """The task's predictions for the examples of a batch, and what its solves cost."""
    examples, weight = batches.rows(row)
    batch = work.views.evaluation({**batches.read(examples), "weight": weight})
    found = forward(work.graphdef, learned, work.task, batch, jnp.sum(weight))
    return work.task.predictions(found.outputs, batch), found.stats
