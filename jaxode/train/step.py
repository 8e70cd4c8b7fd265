"""One training step, one evaluation batch, and the two loops over many of them that are compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, UInt8

from jaxode.data import Views
from jaxode.metrics import confusion
from jaxode.ode import Stats
from jaxode.optim import Transform, update
from jaxode.train.scaling import SMALLEST, after, chosen, scaled, unscaled
from jaxode.train.state import Learned, Totals, TrainState
from jaxode.train.tally import WHOLE, Batch, Split, Tally, forward, gathered, tally
from jaxode.types import Logits, Params

LOSS_NOT_FINITE, PARAMETERS_NOT_FINITE, SCALE_TOO_SMALL = 1, 2, 3


class Table(NamedTuple):
    """Which images make which batch: row r holds the image numbers of batch r and their weights (0
    is padding).
    """

    indices: Int[Array, "batches B"]
    weights: Float[Array, "batches B"] | Bool[Array, "batches B"]


class Pictures(NamedTuple):
    """All images of a data set on the device, as they are stored; training images first, test
    images after them.
    """

    images: UInt8[Array, "N H W C"] | Float[Array, "N H W C"]
    labels: Int[Array, " N"]


class Evaluated(NamedTuple):
    """Sums over the batches of an evaluation: the totals, and how many images of class k were taken
    for class j.
    """

    totals: Totals
    confusion: Int[Array, "K K"]


def all_finite(tree: Any) -> Bool[Array, ""]:
    """Whether every number of a pytree is finite."""
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)]))


def add_batch(totals: Totals, batch: Tally, update: Int[Array, ""] | int = 0) -> Totals:
    """Totals with one batch added, whose loss is its weighted mean.

    A batch in which something fails ends the pass.

    `update` tells what the update broke, or 0.
    """
    broken = jnp.where(jnp.isfinite(batch.loss), update, LOSS_NOT_FINITE).astype(jnp.int32)
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
    )


def train_step(
    graphdef: nnx.GraphDef[Any],
    transform: Transform,
    state: TrainState,
    rows: Any,
    total: Float[Array, ""],
    read: Callable[[Any], Batch],
    split: Split = WHOLE,
) -> TrainState:
    """The state after one update with the gradient of the weighted mean cross-entropy.

    Args:
        graphdef: the model's.
        transform: the update rule.
        state: before the step.
        rows: pytree of arrays with one row an image of the batch.
        total: sum of the weights of all rows.
        read: what the model is shown for some of the rows.
        split: how the batch is worked through.
    """

    def work(rows: Any) -> tuple[Learned, Tally]:
        batch = read(rows)

        def objective(params: Params) -> tuple[Array, tuple[Tally, Any]]:
            _, counts, statistics = tally(graphdef, Learned(params, state.statistics), batch, total)
            return scaled(counts.loss, state.scale), (counts, statistics)

        gradient, (counts, statistics) = jax.grad(objective, has_aux=True)(state.params)
        # Every part of the batch has statistics of its own, which count as much as its images.
        share = jnp.sum(batch.weights) / total
        return Learned(gradient, jax.tree.map(lambda leaf: share * leaf, statistics)), counts

    (gradient, statistics), counts = gathered(work, rows, split)
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
    return TrainState(
        params,
        opt_state,
        state.step + 1,
        add_batch(state.totals, counts, broken),
        scale,
        statistics,
    )


def train_chunk(
    graphdef: nnx.GraphDef[Any],
    transform: Transform,
    views: Views,
    split: Split,
    state: TrainState,
    pictures: Pictures,
    table: Table,
    epoch_key: PRNGKeyArray,
    stop: Int[Array, ""],
) -> TrainState:
    """Train on the rows of this epoch's table from where the totals stand to before row `stop`, or
    to a failure.

    Row r draws its randomness from fold_in(epoch_key, r) alone, so where the chunks are cut changes
    nothing.
    """

    def read(rows: tuple[Any, Any, Any]) -> Batch:
        indices, weights, keys = rows
        return Batch(
            views.training(keys, pictures.images[indices]), pictures.labels[indices], weights, keys
        )

    def body(state: TrainState) -> TrainState:
        row = state.totals.batches
        indices, weights = table.indices[row], table.weights[row].astype(state.totals.loss.dtype)
        keys = jax.random.split(jax.random.fold_in(epoch_key, row), indices.shape[0])
        return train_step(
            graphdef, transform, state, (indices, weights, keys), jnp.sum(weights), read, split
        )

    def going(state: TrainState) -> Bool[Array, ""]:
        return (state.totals.batches < stop) & (state.totals.bad_batch < 0)

    return jax.lax.while_loop(going, body, state)


def evaluation_chunk(
    graphdef: nnx.GraphDef[Any],
    views: Views,
    split: Split,
    learned: Learned,
    evaluated: Evaluated,
    pictures: Pictures,
    table: Table,
    start: Int[Array, ""],
    stop: Int[Array, ""],
) -> Evaluated:
    """Add the batches of rows start + totals.batches, ..., stop - 1 of the table, or those up to a
    failure.
    """

    def body(evaluated: Evaluated) -> Evaluated:
        totals = evaluated.totals
        row = start + totals.batches
        indices, weights = table.indices[row], table.weights[row].astype(totals.loss.dtype)
        total = jnp.sum(weights)

        def work(rows: tuple[Any, Any]) -> tuple[Array, Tally]:
            indices, weights = rows
            labels = pictures.labels[indices]
            images = views.evaluation(pictures.images[indices])
            logits, counts, _ = tally(graphdef, learned, Batch(images, labels, weights), total)
            return confusion(logits, labels, weights), counts

        found, counts = gathered(work, (indices, weights), split)
        return Evaluated(add_batch(totals, counts), evaluated.confusion + found)

    def going(evaluated: Evaluated) -> Bool[Array, ""]:
        totals = evaluated.totals
        return (start + totals.batches < stop) & (totals.bad_batch < 0)

    return jax.lax.while_loop(going, body, evaluated)


def row_outcomes(
    graphdef: nnx.GraphDef[Any],
    views: Views,
    learned: Learned,
    pictures: Pictures,
    table: Table,
    row: Int[Array, ""],
) -> tuple[Logits, Stats]:
    """Logits of the images of a row of the table, and what the row's solves cost."""
    return forward(graphdef, learned, views.evaluation(pictures.images[table.indices[row]]))[:2]
