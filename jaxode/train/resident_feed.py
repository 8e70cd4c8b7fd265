"""The feed of arrays that lie on every device."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from jaxode.config import RunConfig
from jaxode.data.batches import sequential_order
from jaxode.data.streaming import Examples, HostBatch, count_of
from jaxode.distributed.mesh import DeviceMesh
from jaxode.train.device_batches import BatchIndices, ResidentBatches
from jaxode.train.feeds import Call, batch_shapes, epoch_shuffler, training_steps


class ResidentFeed:
    """All examples on every device; the compiled loops gather their batches by indices.

    One array for all splits and one order of batches, so that one compilation evaluates each.

    Args:
      config: batch sizes, of training and of evaluation.
      splits: arrays of "train", "test" and others, under the same names.
      mesh: the devices.
    """

    def __init__(self, config: RunConfig, splits: Mapping[str, Examples], mesh: DeviceMesh) -> None:
        train = splits["train"]
        self.splits = splits
        self.counts = {name: count_of(split) for name, split in splits.items()}
        self.steps_per_epoch = training_steps(config, train)
        size = config.evaluation_batch
        indices, weights, before, batches = [], [], 0, 0
        self.evaluations: dict[str, tuple[int, int]] = {}
        for name, count in self.counts.items():
            own, weight = sequential_order(count, size)
            indices.append(own + np.int32(before))
            weights.append(weight)
            self.evaluations[name] = batches, len(weight)
            before, batches = before + count, batches + len(weight)
        order = np.concatenate(indices), np.concatenate(weights)
        stored = {
            name: np.concatenate([split[name] for split in splits.values()]) for name in train
        }
        self.shapes = batch_shapes(size, stored)
        self.dataset, self.order = mesh.place(stored), BatchIndices(*mesh.place(order))
        self._shuffled = epoch_shuffler(config, self.counts["train"], self.steps_per_epoch, mesh)

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
