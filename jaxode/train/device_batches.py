"""What a compiled loop reads its batches from, as pytrees on the device."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from jaxtyping import Array, Bool, Float, Int


class BatchIndices(NamedTuple):
    """Which examples make which batch.

    Row r holds the numbers of the examples of batch r and their weights (0 is padding).
    """

    indices: Int[Array, "batches B"]
    weights: Float[Array, "batches B"] | Bool[Array, "batches B"]


DeviceDataset = dict[str, Any]
"""All examples of a data set on the device, as they are stored, by the names of a batch's arrays.

Training examples first, test examples after them.
"""


class Batches(Protocol):
    """A pytree that a compiled loop reads its batches from."""

    def rows(self, batch: Int[Array, ""], /) -> tuple[Any, Float[Array, " B"]]:
        """A pytree with a row for each example of a batch, and the weights of the examples."""
        ...

    def read(self, rows: Any, /) -> DeviceDataset:
        """The examples of some of these rows, those of a micro-batch."""
        ...


class ResidentBatches(NamedTuple):
    """Batches of a data set on the device; row r of the order is batch r."""

    dataset: DeviceDataset
    order: BatchIndices

    def rows(self, batch: Int[Array, ""]) -> tuple[Int[Array, " B"], Array]:
        """The indices of a batch's examples, and its weights."""
        return self.order.indices[batch], self.order.weights[batch]

    def read(self, rows: Int[Array, " rows"]) -> DeviceDataset:
        """The examples of some indices."""
        return {name: array[rows] for name, array in self.dataset.items()}


class StreamedBatch(NamedTuple):
    """One batch on the device, whichever number it has.

    Its examples are gathered by their indices 0, ..., B - 1, as those of a data set are: XLA then
    fuses both loops alike, and their results have the same bits.
    """

    examples: DeviceDataset
    indices: Int[Array, " B"]
    weights: Float[Array, " B"]

    def rows(self, batch: Int[Array, ""]) -> tuple[Int[Array, " B"], Array]:
        """All indices, and the weights."""
        return self.indices, self.weights

    def read(self, rows: Int[Array, " rows"]) -> DeviceDataset:
        """The examples of some indices."""
        return {name: array[rows] for name, array in self.examples.items()}
