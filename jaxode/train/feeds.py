"""How batches reach the compiled steps: the interface of both feeds, and what they share.

A feed opens passes over a split; a pass is asked for the batches up to some number and gives what
the compiled loops are called with. With the same order both feeds end with the same bits, for the
loops differ only in where they read a batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import jax
from jaxtyping import PRNGKeyArray

from jaxode.checks import require
from jaxode.config import RunConfig
from jaxode.data import BatchStream
from jaxode.data.batches import epoch_order, steps_per_epoch
from jaxode.data.streaming import Examples, HostBatch, count_of
from jaxode.distributed.mesh import DeviceMesh
from jaxode.train.device_batches import Batches, BatchIndices


class Call(NamedTuple):
    """What a compiled loop is called with.

    It works on batch `offset + b` of `batches`, where b counts those done in the pass, as long as
    that is below `stop`.
    """

    batches: Batches
    offset: int
    stop: int


class Pass(Protocol):
    """One pass over a split. Close it."""

    @property
    def count(self) -> int:
        """Batches of the pass."""
        ...

    def upto(self, stop: int) -> Iterator[Call]:
        """The calls that bring the pass to before its batch `stop`."""
        ...

    def host(self, number: int) -> HostBatch:
        """A batch on the host; of a streamed pass, only the last one that `upto` gave."""
        ...

    def close(self) -> None:
        """Free what the pass has opened."""
        ...


class Feed(Protocol):
    """Batches of all splits."""

    counts: dict[str, int]
    """Examples of each split."""

    steps_per_epoch: int
    """Training batches of an epoch."""

    shapes: dict[str, jax.ShapeDtypeStruct]
    """A batch of evaluation as it is stored, without weights."""

    def training(self, key: PRNGKeyArray, epoch: int, start: int) -> Pass:
        """The pass of an epoch, shuffled by a key, from batch `start` on."""
        ...

    def evaluation(self, split: str) -> Pass:
        """A pass over a split, "train" or "test" say, in the order stored."""
        ...

    def examples(self) -> tuple[Batches, Batches]:
        """Batches to trace training and evaluation with: those of every call have these shapes."""
        ...


def training_steps(config: RunConfig, train: Examples | BatchStream) -> int:
    """Training batches of an epoch.

    Raises:
      ConfigError: the last batch is to be dropped and there is no other, or a stream makes its own
        batches.
    """
    drop_last, size = config.data.drop_last, config.batch_size
    if isinstance(train, BatchStream):
        require(not drop_last, "drop_last", drop_last, "false for a stream of its own batches")
        return train.batches
    count = count_of(train)
    steps = steps_per_epoch(count, size, drop_last=drop_last)
    allowed = f"at most {count}, the training images, with drop_last"
    require(steps > 0, "batch_size", size, allowed)
    return steps


def batch_shapes(size: int, examples: Examples) -> dict[str, jax.ShapeDtypeStruct]:
    """A batch of so many of these examples as it is stored, without weights."""
    return {
        name: jax.ShapeDtypeStruct((size, *array.shape[1:]), array.dtype)
        for name, array in examples.items()
    }


def epoch_shuffler(
    config: RunConfig, count: int, steps: int, mesh: DeviceMesh
) -> jax.stages.Wrapped:
    """A compiled function from the key of an epoch to its order."""

    def order(key: PRNGKeyArray) -> BatchIndices:
        # Steps fold in 0, 1, ... below their number, so that number is free for the order.
        key = jax.random.fold_in(key, steps)
        return BatchIndices(
            *epoch_order(key, count, config.batch_size, drop_last=config.data.drop_last)
        )

    return jax.jit(order, out_shardings=mesh.everywhere)
