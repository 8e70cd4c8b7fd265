"""The feed of batches that are read on the host, two ahead of the compiled step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from jaxode.checks import ConfigError
from jaxode.config import RunConfig
from jaxode.data import BatchStream
from jaxode.data.batches import sequential_order
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
from jaxode.train.device_batches import StreamedBatch
from jaxode.train.feeds import Call, batch_shapes, epoch_shuffler, training_steps


class StreamedFeed:
    """Batches from the host, placed on every device two ahead of the compiled step.

    Args:
      config: batch sizes, of training and of evaluation.
      splits: arrays or streams of "train", "test" and others, with the same arrays in a batch.
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
        self.steps_per_epoch = training_steps(config, splits["train"])
        self._shuffled = epoch_shuffler(config, self.counts["train"], self.steps_per_epoch, mesh)
        size = self.evaluation_batch
        found = {name: batch_shapes(size, self._first(split)) for name, split in splits.items()}
        train = array_types(found["train"])
        for name, shapes in found.items():
            if shapes != found["train"]:
                got = array_types(shapes)
                raise ConfigError(f"{name} must have the arrays of train, {train}, got {got}")
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
            order = sequential_order(self.counts[split], self.evaluation_batch)
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
