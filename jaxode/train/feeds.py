"""How batches reach the compiled steps: from arrays on the device, or streamed to it.

A feed opens passes over a split; a pass is asked for the batches up to some number and gives what
the compiled loops are called with. With the same order both feeds end with the same bits, for the
loops differ only in where they read a batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from jaxode.checks import ConfigError, require
from jaxode.config import RunConfig
from jaxode.data import BatchStream, Dataset
from jaxode.data.batches import epoch_order, sequential_order, steps_per_epoch
from jaxode.data.prefetch import Prefetch
from jaxode.data.streaming import (
    Examples,
    HostBatch,
    array_batches,
    array_types,
    count_of,
    stream_batches,
)
from jaxode.distributed.mesh import DeviceMesh
from jaxode.train.step import Batches, BatchIndices, ResidentBatches, StreamedBatch


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
    """Batches of both splits."""

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
        """A pass over "train" or "test" in the order stored."""
        ...

    def examples(self) -> tuple[Batches, Batches]:
        """Batches to trace training and evaluation with: those of every call have these shapes."""
        ...


def choose_feed(config: RunConfig, data: Dataset, mesh: DeviceMesh) -> Feed:
    """The feed that `config.data.feed` names.

    Raises:
      ConfigError: a stream is to be resident, or batches are to be streamed to several processes.
    """
    splits, feed = data.splits, config.data.feed
    arrays = {name: s for name, s in splits.items() if not isinstance(s, BatchStream)}
    streamed = len(arrays) < len(splits)
    if feed == "auto":
        feed = "streamed" if streamed or not _fit(arrays) else "resident"
    if feed == "resident":
        require(not streamed, "feed", feed, f"streamed or auto for {data.name}, which is a stream")
        return ResidentFeed(config, arrays, mesh)
    if jax.process_count() > 1:
        raise ConfigError("feed must be resident for several processes, got 'streamed'")
    return StreamedFeed(config, splits, mesh)


def _fit(splits: Mapping[str, Examples]) -> bool:
    """Whether arrays take at most half of a device's memory, where that is known."""
    limit = (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit")
    size = sum(array.nbytes for split in splits.values() for array in split.values())
    return limit is None or size <= limit / 2


class ResidentFeed:
    """All examples on every device; the compiled loops gather their batches by indices.

    One array for both splits and one order of batches, so that one compilation evaluates both.

    Args:
      config: batch sizes, of training and of evaluation.
      splits: arrays of "train" and "test" under the same names.
      mesh: the devices.
    """

    def __init__(self, config: RunConfig, splits: Mapping[str, Examples], mesh: DeviceMesh) -> None:
        train, test = splits["train"], splits["test"]
        self.splits = splits
        self.counts = {name: count_of(split) for name, split in splits.items()}
        self.steps_per_epoch = _steps_per_epoch(config, train)
        size = config.evaluation_batch
        first = BatchIndices(*sequential_order(self.counts["train"], size))
        last = BatchIndices(*sequential_order(self.counts["test"], size))
        order = BatchIndices(
            jnp.concatenate([first.indices, last.indices + self.counts["train"]]),
            jnp.concatenate([first.weights, last.weights]),
        )
        stored = {name: np.concatenate([array, test[name]]) for name, array in train.items()}
        self.shapes = _shapes(size, stored)
        self.dataset, self.order = mesh.place(stored), mesh.place(order)
        batches = len(first.weights)
        self.evaluations = {"train": (0, batches), "test": (batches, len(last.weights))}
        self._shuffled = _shuffled(config, self.counts["train"], self.steps_per_epoch, mesh)

    def training(self, key: PRNGKeyArray, epoch: int, start: int) -> ResidentPass:
        """The order of an epoch; where it begins, the state of training knows."""
        batches = ResidentBatches(self.dataset, self._shuffled(key))
        return ResidentPass(batches, 0, self.steps_per_epoch)

    def evaluation(self, split: str) -> ResidentPass:
        """The part of the stored order that holds the split."""
        batches = ResidentBatches(self.dataset, self.order)
        return ResidentPass(batches, *self.evaluations[split], self.splits[split])

    def examples(self) -> tuple[ResidentBatches, ResidentBatches]:
        """The data set with the order of an epoch, and with that of all evaluations."""
        shuffled = self._shuffled(jax.random.key(0))
        evaluated = ResidentBatches(self.dataset, self.order)
        return evaluated._replace(order=shuffled), evaluated


@dataclass(frozen=True)
class ResidentPass:
    """A pass over batches on the device: one call does any number of them."""

    resident: ResidentBatches
    offset: int
    count: int
    examples: Examples | None = None

    def upto(self, stop: int) -> Iterator[Call]:
        """One call."""
        yield Call(self.resident, self.offset, self.offset + stop)

    def host(self, number: int) -> HostBatch:
        """A batch of an evaluation: the examples are in the order stored."""
        assert self.examples is not None
        size = self.resident.order.weights.shape[1]
        examples = {
            name: array[number * size : (number + 1) * size]
            for name, array in self.examples.items()
        }
        return HostBatch(examples, np.ones(count_of(examples), np.float32))

    def close(self) -> None:
        """Nothing to free."""


class StreamedFeed:
    """Batches from the host, placed on every device two ahead of the compiled step.

    Args:
      config: batch sizes, of training and of evaluation.
      splits: arrays or streams of "train" and "test", with the same arrays in a batch.
      mesh: the devices.
    """

    def __init__(
        self,
        config: RunConfig,
        splits: Mapping[str, Examples | BatchStream],
        mesh: DeviceMesh,
    ) -> None:
        self.batch_size, self.splits, self.mesh = config.batch_size, splits, mesh
        self.evaluation_batch = config.evaluation_batch
        self.counts = {name: count_of(split) for name, split in splits.items()}
        self.steps_per_epoch = _steps_per_epoch(config, splits["train"])
        self._shuffled = _shuffled(config, self.counts["train"], self.steps_per_epoch, mesh)
        size = self.evaluation_batch
        found = {name: _shapes(size, self._first(split)) for name, split in splits.items()}
        if found["train"] != found["test"]:
            train, test = (array_types(found[name]) for name in ("train", "test"))
            raise ConfigError(f"test must have the arrays of train, {train}, got {test}")
        self.shapes = found["train"]

    def _first(self, split: Examples | BatchStream) -> Examples:
        if isinstance(split, BatchStream):
            return next(stream_batches(split, 0, self.batch_size)).examples
        return split

    def training(self, key: PRNGKeyArray, epoch: int, start: int) -> StreamedPass:
        """Arrays in the order that the resident feed has; a stream in its own."""
        split = self.splits["train"]
        if isinstance(split, BatchStream):
            batches = stream_batches(split, epoch, self.batch_size, start)
        else:
            order = jax.device_get(self._shuffled(key))
            batches = array_batches(split, order.indices, order.weights, start)
        return StreamedPass(batches, start, self.steps_per_epoch, self.mesh)

    def evaluation(self, split: str) -> StreamedPass:
        """Arrays in the order stored; of a stream, its first epoch."""
        source = self.splits[split]
        if isinstance(source, BatchStream):
            batches, count = stream_batches(source, 0, self.evaluation_batch), source.batches
        else:
            order = jax.device_get(sequential_order(self.counts[split], self.evaluation_batch))
            batches, count = array_batches(source, *order), len(order[0])
        return StreamedPass(batches, 0, count, self.mesh)

    def examples(self) -> tuple[StreamedBatch, StreamedBatch]:
        """A batch of zeros for training, and one for evaluation."""
        return self._zeros(self.batch_size), self._zeros(self.evaluation_batch)

    def _zeros(self, size: int) -> StreamedBatch:
        zeros = {
            name: np.zeros((size, *each.shape[1:]), each.dtype)
            for name, each in self.shapes.items()
        }
        return _placed(HostBatch(zeros, np.zeros(size, np.float32)), self.mesh)


def _placed(batch: HostBatch, mesh: DeviceMesh) -> StreamedBatch:
    rows = np.arange(len(batch.weights), dtype=np.int32)
    return StreamedBatch(*jax.device_put((batch.examples, rows, batch.weights), mesh.everywhere))


class StreamedPass:
    """A pass over batches of the host: a call for each."""

    def __init__(
        self, batches: Iterator[HostBatch], start: int, count: int, mesh: DeviceMesh
    ) -> None:
        def place(batch: HostBatch) -> tuple[StreamedBatch, HostBatch]:
            return _placed(batch, mesh), batch

        self.count, self._done = count, start
        self._placed = Prefetch(batches, place)
        self._last: HostBatch | None = None

    def upto(self, stop: int) -> Iterator[Call]:
        """A call for each batch that is left. Raises DataError if a stream is not as announced."""
        while self._done < stop:
            batch, self._last = next(self._placed)
            self._done += 1
            yield Call(batch, 0, self._done)
        if self._done == self.count:
            next(self._placed, None)  # a stream of more batches says so

    def host(self, number: int) -> HostBatch:
        """The last batch."""
        assert self._last is not None
        assert number == self._done - 1
        return self._last

    def close(self) -> None:
        """End the background thread."""
        self._placed.close()


def _steps_per_epoch(config: RunConfig, train: Examples | BatchStream) -> int:
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


def _shapes(size: int, examples: Examples) -> dict[str, jax.ShapeDtypeStruct]:
    return {
        name: jax.ShapeDtypeStruct((size, *array.shape[1:]), array.dtype)
        for name, array in examples.items()
    }


def _shuffled(config: RunConfig, count: int, steps: int, mesh: DeviceMesh) -> jax.stages.Wrapped:
    """A compiled function from the key of an epoch to its order."""

    def order(key: PRNGKeyArray) -> BatchIndices:
        # Steps fold in 0, 1, ... below their number, so that number is free for the order.
        key = jax.random.fold_in(key, steps)
        return BatchIndices(
            *epoch_order(key, count, config.batch_size, drop_last=config.data.drop_last)
        )

    return jax.jit(order, out_shardings=mesh.everywhere)
