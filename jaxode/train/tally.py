"""What a model makes of a batch: logits, loss and solver statistics, summed over the parts it is
worked through in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from jaxode.losses import cross_entropy
from jaxode.metrics import image_count
from jaxode.ode import Stats
from jaxode.train.parallel import ALONE, Across
from jaxode.train.state import Learned
from jaxode.types import Images, Keys, Labels, Logits, Training


class Batch(NamedTuple):
    """What a model is shown, what it should say, and in training each image's key."""

    images: Images
    labels: Labels
    weights: Float[Array, " B"]
    keys: Keys | None = None


class Tally(NamedTuple):
    """What one part of a batch adds to the totals; the parts' tallies add up, but for `failure`,
    the largest code.
    """

    loss: Float[Array, ""]
    images: Int[Array, ""]
    solves: Int[Array, ""]
    nfe: Int[Array, " blocks"]
    accepted: Int[Array, " blocks"]
    rejected: Int[Array, " blocks"]
    failure: Int[Array, ""]


class Split(NamedTuple):
    """How a batch is worked through: in so many parts one after the other, each of them across
    devices.
    """

    parts: int = 1
    across: Across = ALONE


WHOLE = Split()
"""A batch in one piece on one device."""


def forward(
    graphdef: nnx.GraphDef[Any], learned: Learned, images: Images, training: Training | None = None
) -> tuple[Logits, Stats, Any]:
    """Logits and solver statistics of a model split by `split_model`, and what it now keeps of the
    batches seen.
    """
    model = nnx.merge(graphdef, *learned, copy=True)  # statistics change where the call is traced
    logits, stats = model(images, training)
    return logits, stats, nnx.state(model, nnx.BatchStat)


def by_block(stats: Stats, weights: Float[Array, " B"]) -> tuple[Int[Array, ""], Stats]:
    """Number of solves of a block, and statistics with one element a block.

    Where every image was solved by itself, counts are summed over images of weight above 0, for
    padding counts for nothing; but the failure is that of any image.
    """
    if stats.nfe.ndim == 1:
        return jnp.ones((), jnp.int32), stats
    summed = Stats(
        *(jnp.sum(jnp.where(weights > 0, counts, 0), 1, dtype=jnp.int32) for counts in stats)
    )
    return image_count(weights), summed._replace(failure=stats.failure.max(1))


def tally(
    graphdef: nnx.GraphDef[Any], learned: Learned, batch: Batch, total: Float[Array, ""]
) -> tuple[Logits, Tally, Any]:
    """Logits of a part of a batch whose weights sum to `total`, what it adds, and the statistics
    after it.

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


def gathered(
    work: Callable[[Any], tuple[Any, Tally]], rows: Any, split: Split
) -> tuple[Any, Tally]:
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
