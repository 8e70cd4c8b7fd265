"""One training step, one evaluation batch, and the two loops over many of them that are compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, UInt8

from jaxode.data import Views
from jaxode.losses import cross_entropy
from jaxode.metrics import confusion, image_count
from jaxode.ode import Stats
from jaxode.optim import Transform, update
from jaxode.train.parallel import ALONE, Across
from jaxode.train.scaling import SMALLEST, after, chosen, scaled, unscaled
from jaxode.train.state import Learned, Totals, TrainState
from jaxode.types import Images, Keys, Labels, Logits, Params, Training

LOSS_NOT_FINITE, PARAMETERS_NOT_FINITE, SCALE_TOO_SMALL = 1, 2, 3


class Table(NamedTuple):
    """Which images make which batch: row r holds the image numbers of batch r and their weights (0 is padding)."""

    indices: Int[Array, "batches B"]
    weights: Float[Array, "batches B"] | Bool[Array, "batches B"]


class Pictures(NamedTuple):
    """All images of a data set on the device, as they are stored; training images first, test images after them."""

    images: UInt8[Array, "N H W C"] | Float[Array, "N H W C"]
    labels: Int[Array, " N"]


class Batch(NamedTuple):
    """What a model is shown, what it should say, and in training each image's key."""

    images: Images
    labels: Labels
    weights: Float[Array, " B"]
    keys: Keys | None = None


class Tally(NamedTuple):
    """What one part of a batch adds to the totals; the parts' tallies add up, but for `failure`, the largest code."""

    loss: Float[Array, ""]
    images: Int[Array, ""]
    solves: Int[Array, ""]
    nfe: Int[Array, " blocks"]
    accepted: Int[Array, " blocks"]
    rejected: Int[Array, " blocks"]
    failure: Int[Array, ""]


class Evaluated(NamedTuple):
    """Sums over the batches of an evaluation: the totals, and how many images of class k were taken for class j."""

    totals: Totals
    confusion: Int[Array, "K K"]


class Split(NamedTuple):
    """How a batch is worked through: in so many parts one after the other, each of them across devices."""

    parts: int = 1
    across: Across = ALONE


WHOLE = Split()
"""A batch in one piece on one device."""


def forward(
    graphdef: nnx.GraphDef[Any], learned: Learned, images: Images, training: Training | None = None
) -> tuple[Logits, Stats, Any]:
    """Logits and solver statistics of a model split by `split_model`, and what it now keeps of the batches seen."""
    model = nnx.merge(graphdef, *learned, copy=True)  # statistics change where the call is traced
    logits, stats = model(images, training)
    return logits, stats, nnx.state(model, nnx.BatchStat)


def all_finite(tree: Any) -> Bool[Array, ""]:
    """Whether every number of a pytree is finite."""
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)]))


def by_block(stats: Stats, weights: Float[Array, " B"]) -> tuple[Int[Array, ""], Stats]:
    """Number of solves of a block, and statistics with one element a block.

    Where every image was solved by itself, counts are summed over images of weight above 0, for padding counts for
    nothing; but the failure is that of any image.
    """
    if stats.nfe.ndim == 1:
        return jnp.ones((), jnp.int32), stats
    summed = Stats(*(jnp.sum(jnp.where(weights > 0, counts, 0), 1, dtype=jnp.int32) for counts in stats))
    return image_count(weights), summed._replace(failure=stats.failure.max(1))


def tally(
    graphdef: nnx.GraphDef[Any], learned: Learned, batch: Batch, total: Float[Array, ""]
) -> tuple[Logits, Tally, Any]:
    """Logits of a part of a batch whose weights sum to `total`, what it adds, and the statistics after it.

    The loss is the part's share of the whole batch's mean.
    """
    training = None if batch.keys is None else Training(batch.keys, batch.weights)
    logits, stats, statistics = forward(graphdef, learned, batch.images, training)
    loss = cross_entropy(logits, batch.labels, batch.weights, total)
    solves, stats = by_block(stats, batch.weights)
    # One number for the chain: the first block that failed is what made the later ones fail.
    codes = stats.failure
    counts = Tally(
        loss=loss,
        images=image_count(batch.weights),
        solves=solves,
        nfe=stats.nfe,
        accepted=stats.accepted,
        rejected=stats.rejected,
        failure=codes[jnp.argmax(codes > 0)] if codes.shape[0] else jnp.zeros((), jnp.int32),
    )
    return logits, counts, statistics


def add_tallies(one: Tally, other: Tally) -> Tally:
    """The tally of two parts."""
    added = jax.tree.map(jnp.add, one, other)
    return added._replace(failure=jnp.maximum(one.failure, other.failure))


def gathered(work: Callable[[Any], tuple[Any, Tally]], rows: Any, split: Split) -> tuple[Any, Tally]:
    """The sum over all parts of a batch of what `work` finds for one part.

    Args:
        work: rows of one part → (pytree to be added, tally).
        rows: pytree of arrays with one row an image of the batch.
        split: how to go about it; parts and devices divide the number of rows.
    """

    def of_part(rows: Any) -> tuple[Any, Tally]:
        return work(split.across.share(rows))

    if split.parts == 1:
        found, counts = of_part(rows)
    else:
        parts = jax.tree.map(lambda leaf: leaf.reshape(split.parts, -1, *leaf.shape[1:]), rows)
        shapes = jax.eval_shape(of_part, jax.tree.map(lambda leaf: leaf[0], parts))
        nothing = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)

        def add(so_far: tuple[Any, Tally], part: Any) -> tuple[tuple[Any, Tally], None]:
            found, counts = of_part(part)
            return (jax.tree.map(jnp.add, so_far[0], found), add_tallies(so_far[1], counts)), None

        (found, counts), _ = jax.lax.scan(add, nothing, parts)
    failure = split.across.largest(counts.failure)
    found, counts = split.across.sum((found, counts))
    return found, counts._replace(failure=failure)


def add_batch(totals: Totals, batch: Tally, update: Int[Array, ""] | int = 0) -> Totals:
    """Totals with one batch added, whose loss is its weighted mean. A batch in which something fails ends the pass.

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
    return TrainState(params, opt_state, state.step + 1, add_batch(state.totals, counts, broken), scale, statistics)


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
    """Train on the rows of this epoch's table from where the totals stand to before row `stop`, or to a failure.

    Row r draws its randomness from fold_in(epoch_key, r) alone, so where the chunks are cut changes nothing.
    """

    def read(rows: tuple[Any, Any, Any]) -> Batch:
        indices, weights, keys = rows
        return Batch(views.training(keys, pictures.images[indices]), pictures.labels[indices], weights, keys)

    def body(state: TrainState) -> TrainState:
        row = state.totals.batches
        indices, weights = table.indices[row], table.weights[row].astype(state.totals.loss.dtype)
        keys = jax.random.split(jax.random.fold_in(epoch_key, row), indices.shape[0])
        return train_step(graphdef, transform, state, (indices, weights, keys), jnp.sum(weights), read, split)

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
    """Add the batches of rows start + totals.batches, ..., stop - 1 of the table, or those up to a failure."""

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
    graphdef: nnx.GraphDef[Any], views: Views, learned: Learned, pictures: Pictures, table: Table, row: Int[Array, ""]
) -> tuple[Logits, Stats]:
    """Logits of the images of a row of the table, and what the row's solves cost."""
    return forward(graphdef, learned, views.evaluation(pictures.images[table.indices[row]]))[:2]
