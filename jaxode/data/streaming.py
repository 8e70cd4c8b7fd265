"""Splits that are read batch by batch: what a stream is, and the host batches of any split.

A host batch has as many rows as a step takes. A short one is filled up with rows of weight 0: they
are the first of the epoch, as in `jaxode.data.batches`, so that a stream of the same order gives
the same bits as arrays do.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from jaxode.checks import require
from jaxode.config import RunConfig
from jaxode.data.preprocessing import UNCHANGED, Views
from jaxode.data.specs import DataError

Examples = Mapping[str, np.ndarray]
"""Arrays of equal length, by the names that they have in a batch."""


@dataclass(frozen=True)
class BatchStream:
    """A split that is read batch by batch, anew in each epoch.

    Args:
      read: the number of an epoch, from 0 → its batches in order: arrays [B, ...] by name, where B
        is at most `RunConfig.batch_size`. They may hold `weight` [B], 0 for rows that count for
        nothing. Equal numbers must give equal batches, or a resumed run has other bits.
      examples: examples of an epoch, of weight above 0.
      batches: batches of an epoch.

    Raises:
      ConfigError: no examples or no batches.

    Example:
      >>> import numpy as np
      >>> from jaxode.data import BatchStream
      >>> def read(epoch):
      ...     rng = np.random.default_rng(epoch)
      ...     for count in (4, 4, 2):
      ...         x = rng.normal(size=(count, 1)).astype(np.float32)
      ...         yield {"input": x, "target": x**2}
      >>> stream = BatchStream(read, examples=10, batches=3)
      >>> [len(batch["input"]) for batch in stream.read(0)]
      [4, 4, 2]
    """

    read: Callable[[int], Iterable[Examples]]
    examples: int
    batches: int

    def __post_init__(self) -> None:
        require(self.examples >= 1, "examples", self.examples, "at least 1")
        require(self.batches >= 1, "batches", self.batches, "at least 1")


@dataclass(frozen=True)
class StreamedDataset:
    """A data set that need not fit into memory: its training split is read batch by batch.

    Train on it with `DataConfig(feed="streamed")` or "auto".

    Args:
      name: for records and titles.
      train: the training split.
      test: the test split; arrays if it fits into memory. A stream is read into memory in the end
        of a run that is stored, for what is drawn of its predictions.
      fingerprint: a text that changes with the data: a run goes on only with equal data.
      spec: facts for the task, if it needs any.
      transforms: batches of training and of evaluation → what the model and the task see; by
        default as they are read.
      validation: examples to choose the best checkpoint by, if there are any.

    Example:
      >>> import numpy as np
      >>> from jaxode.data import BatchStream, StreamedDataset
      >>> x = np.linspace(-1, 1, 8, dtype=np.float32)[:, None]
      >>> halves = BatchStream(lambda epoch: [{"x": x[:4]}, {"x": x[4:]}], examples=8, batches=2)
      >>> data = StreamedDataset("line", halves, {"x": x}, fingerprint="8 points")
      >>> data.splits["train"].examples
      8
    """

    name: str
    train: BatchStream
    test: BatchStream | Examples
    fingerprint: str
    spec: Any = None
    transforms: Views = UNCHANGED
    source: str = field(default="full", init=False)
    validation: BatchStream | Examples | None = None

    @property
    def splits(self) -> dict[str, Examples | BatchStream]:
        """The splits by name."""
        both = {"train": self.train, "test": self.test}
        return both if self.validation is None else {**both, "validation": self.validation}

    def views(self, config: RunConfig) -> Views:
        """The transforms given."""
        return self.transforms

    def model_options(self, config: RunConfig) -> dict[str, Any]:
        """Nothing: a model for these data is built by their user."""
        return {}


class HostBatch(NamedTuple):
    """A batch on the host: B rows, of which those of weight 0 are padding."""

    examples: dict[str, np.ndarray]
    weights: Float[np.ndarray, " B"]

    @property
    def real(self) -> dict[str, np.ndarray]:
        """The rows of weight above 0."""
        return {name: array[self.weights > 0] for name, array in self.examples.items()}


def array_batches(
    examples: Examples,
    indices: Int[np.ndarray, "batches B"],
    weights: Float[np.ndarray, "batches B"],
    start: int = 0,
) -> Iterator[HostBatch]:
    """The batches of arrays in a given order, from batch `start` on."""
    for chosen, weight in zip(indices[start:], weights[start:], strict=True):
        yield HostBatch({name: array[chosen] for name, array in examples.items()}, weight)


def stream_batches(
    stream: BatchStream, epoch: int, batch_size: int, start: int = 0
) -> Iterator[HostBatch]:
    """The batches of a stream's epoch, from batch `start` on, each of `batch_size` rows.

    Raises DataError if the stream has another number of batches than it announces, or a batch is
    not as the first one.
    """
    number, first = -1, None
    for number, batch in enumerate(itertools.islice(stream.read(epoch), stream.batches + 1)):
        if number == stream.batches:
            raise DataError(f"a stream must have {stream.batches} batches an epoch, found more")
        checked = _checked(batch, number, batch_size, first)
        first = first or checked
        if number >= start:
            yield _filled(checked, first, batch_size)
    if number + 1 != stream.batches:
        raise DataError(f"a stream must have {stream.batches} batches an epoch, found {number + 1}")


def _checked(batch: Examples, number: int, batch_size: int, first: HostBatch | None) -> HostBatch:
    """A copy of a batch of a stream, which may use its memory again."""
    examples = {name: np.array(array) for name, array in batch.items() if name != "weight"}
    lengths = {name: len(array) for name, array in examples.items()}
    count = next(iter(lengths.values()), 0)
    weights = np.array(batch.get("weight", np.ones(count)), np.float32)
    if set(lengths.values()) != {len(weights)} or not 1 <= count <= batch_size:
        raise DataError(
            f"batch {number} of a stream must have arrays of one length from 1 to {batch_size},"
            f" found {lengths}"
        )
    if first is not None and array_types(examples) != array_types(first.examples):
        raise DataError(
            f"batch {number} of a stream must have the arrays of batch 0,"
            f" {array_types(first.examples)}, found {array_types(examples)}"
        )
    return HostBatch(examples, weights)


def array_types(examples: Mapping[str, Any]) -> dict[str, str]:
    """Type and shape of a row of each array, by name."""
    return {
        name: f"{array.dtype}{list(array.shape[1:])}" for name, array in sorted(examples.items())
    }


def _filled(batch: HostBatch, first: HostBatch, batch_size: int) -> HostBatch:
    """A batch of `batch_size` rows, filled up with rows of the epoch's first batch."""
    lacking = batch_size - len(batch.weights)
    if not lacking:
        return batch
    rows = np.arange(lacking) % len(first.weights)
    examples = {
        name: np.concatenate([array, first.examples[name][rows]])
        for name, array in batch.examples.items()
    }
    return HostBatch(examples, np.concatenate([batch.weights, np.zeros(lacking, np.float32)]))


def count_of(split: Examples | BatchStream) -> int:
    """How many examples a split has."""
    if isinstance(split, BatchStream):
        return split.examples
    return len(next(iter(split.values())))


def in_memory(split: Examples | BatchStream) -> Examples:
    """The arrays of a split; a stream's first epoch is read for them, without its padding."""
    if not isinstance(split, BatchStream):
        return split
    batches = [_checked(batch, n, 2**31, None).real for n, batch in enumerate(split.read(0))]
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
