"""One training step, one evaluation batch, and the two loops over many of them that are compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, UInt8

from jaxode.losses import cross_entropy
from jaxode.metrics import correct_count, image_count
from jaxode.ode import Stats
from jaxode.optim import Transform, update
from jaxode.train.state import Totals, TrainState
from jaxode.types import Images, Labels, Logits, Params

LOSS_NOT_FINITE, PARAMETERS_NOT_FINITE = 1, 2


class Table(NamedTuple):
    """Which images make which batch: row r holds the image numbers of batch r and their weights (0 is padding)."""

    indices: Int[Array, "batches B"]
    weights: Float[Array, "batches B"] | Bool[Array, "batches B"]


class Pictures(NamedTuple):
    """All images of a data set on the device, as they are stored; training images first, test images after them."""

    images: UInt8[Array, "N H W C"]
    labels: Int[Array, " N"]


class Views(NamedTuple):
    """How stored pixels become the model's input: with a random key for training, without one for evaluation."""

    training: Callable[[PRNGKeyArray, Any], Images]
    evaluation: Callable[[Any], Images]


def forward(graphdef: nnx.GraphDef[Any], params: Params, images: Images) -> tuple[Logits, Stats]:
    """Logits and solver statistics of a model split by `split_model`."""
    return nnx.merge(graphdef, params)(images)


def all_finite(tree: Any) -> Bool[Array, ""]:
    """Whether every number of a pytree is finite."""
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)]))


def add_batch(
    totals: Totals,
    loss: Float[Array, ""],
    logits: Logits,
    labels: Labels,
    weights: Float[Array, " B"],
    stats: Stats,
    params_finite: Bool[Array, ""] | bool,
) -> Totals:
    """Totals with one batch added, `loss` being its weighted mean. A batch in which something fails ends the pass."""
    images = image_count(weights)
    finite = jnp.where(params_finite, 0, PARAMETERS_NOT_FINITE)
    broken = jnp.where(jnp.isfinite(loss), finite, LOSS_NOT_FINITE).astype(jnp.int32)
    # One number for the chain: the first block that failed is what made the later ones fail.
    failures = stats.failure
    failure = failures[jnp.argmax(failures > 0)] if failures.shape[0] else jnp.zeros((), jnp.int32)
    failure = failure.astype(jnp.int32)
    return Totals(
        loss=totals.loss + loss * images,
        correct=totals.correct + correct_count(logits, labels, weights),
        images=totals.images + images,
        batches=totals.batches + 1,
        nfe=totals.nfe + stats.nfe,
        accepted=totals.accepted + stats.accepted,
        rejected=totals.rejected + stats.rejected,
        failure=failure,
        broken=broken,
        bad_batch=jnp.where((failure > 0) | (broken > 0), totals.batches, -1),
    )


def train_step(
    graphdef: nnx.GraphDef[Any],
    transform: Transform,
    state: TrainState,
    images: Images,
    labels: Labels,
    weights: Float[Array, " B"],
) -> TrainState:
    """The state after one update with the gradient of the weighted mean cross-entropy."""

    def objective(params: Params) -> tuple[Array, tuple[Logits, Stats]]:
        logits, stats = forward(graphdef, params, images)
        return cross_entropy(logits, labels, weights), (logits, stats)

    (loss, (logits, stats)), gradient = jax.value_and_grad(objective, has_aux=True)(state.params)
    params, opt_state = update(transform, gradient, state.opt_state, state.params)
    totals = add_batch(state.totals, loss, logits, labels, weights, stats, all_finite(params))
    return TrainState(params, opt_state, state.step + 1, totals)


def train_chunk(
    graphdef: nnx.GraphDef[Any],
    transform: Transform,
    views: Views,
    state: TrainState,
    pictures: Pictures,
    table: Table,
    epoch_key: PRNGKeyArray,
    stop: Int[Array, ""],
) -> TrainState:
    """Train on the rows of this epoch's table from where the totals stand to before row `stop`, or to a failure.

    Row r draws its randomness from fold_in(epoch_key, r) alone, so where the chunks are cut changes nothing.
    """

    def body(state: TrainState) -> TrainState:
        row = state.totals.batches
        indices, weights = table.indices[row], table.weights[row].astype(state.totals.loss.dtype)
        inputs = views.training(jax.random.fold_in(epoch_key, row), pictures.images[indices])
        return train_step(graphdef, transform, state, inputs, pictures.labels[indices], weights)

    def going(state: TrainState) -> Bool[Array, ""]:
        return (state.totals.batches < stop) & (state.totals.bad_batch < 0)

    return jax.lax.while_loop(going, body, state)


def evaluation_chunk(
    graphdef: nnx.GraphDef[Any],
    views: Views,
    params: Params,
    totals: Totals,
    pictures: Pictures,
    table: Table,
    start: Int[Array, ""],
    stop: Int[Array, ""],
) -> Totals:
    """Add to the totals the batches of rows start + totals.batches, ..., stop - 1 of the table, or up to a failure."""

    def body(totals: Totals) -> Totals:
        row = start + totals.batches
        indices, weights = table.indices[row], table.weights[row].astype(totals.loss.dtype)
        labels = pictures.labels[indices]
        logits, stats = forward(graphdef, params, views.evaluation(pictures.images[indices]))
        return add_batch(totals, cross_entropy(logits, labels, weights), logits, labels, weights, stats, True)

    def going(totals: Totals) -> Bool[Array, ""]:
        return (start + totals.batches < stop) & (totals.bad_batch < 0)

    return jax.lax.while_loop(going, body, totals)
