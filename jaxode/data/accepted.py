"""What is accepted as data beside a data set: arrays, and any iterable of batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from jaxode.checks import ConfigError
from jaxode.data.base import SPLITS, VALIDATION, ArrayDataset, Dataset, fingerprint_of
from jaxode.data.streaming import BatchStream, Examples, StreamedDataset, in_memory

PAIR = ("image", "label")
"""Names of the two arrays of a batch that is a pair."""


def as_dataset(data: Any) -> Dataset:
    """A data set of whatever is accepted as one.

    Args:
      data: a data set, which is returned as it is; or a mapping of `train`, `test` and, to choose
        the best checkpoint by, `validation` if there is one. Each is arrays [N, ...] by name, a
        `BatchStream`, or an iterable of batches: a list or a loader of any library that begins anew
        each time it is gone through. A batch is a mapping of arrays [B, ...], or a pair of images
        and labels.

    Returns:
      An `ArrayDataset`, or a `StreamedDataset` if the training split is batches. Batches are gone
      through once to be counted.

    Raises:
      ConfigError: another type, a split that is missing, or batches that can be gone through once
        alone.

    Example:
      >>> import numpy as np
      >>> from jaxode.data import as_dataset
      >>> x = np.linspace(-1, 1, 6, dtype=np.float32)[:, None]
      >>> batches = [{"input": x[:4], "target": 2 * x[:4]}, {"input": x[4:], "target": 2 * x[4:]}]
      >>> data = as_dataset({"train": batches, "test": {"input": x, "target": 2 * x}})
      >>> data.splits["train"].examples, data.splits["train"].batches
      (6, 2)
    """
    if hasattr(data, "splits"):
        return data
    if not isinstance(data, Mapping) or set(data) - {VALIDATION} != set(SPLITS):
        got = sorted(map(str, data)) if isinstance(data, Mapping) else type(data).__name__
        raise ConfigError(
            "data must be a data set, or a mapping of train, test and, if there is one, validation,"
            f" got {got}"
        )
    train, test = (_split(data[name], name) for name in SPLITS)
    held = _split(data[VALIDATION], VALIDATION) if VALIDATION in data else None
    if not isinstance(train, BatchStream):
        validation = None if held is None else in_memory(held)
        return ArrayDataset("arrays", train, in_memory(test), validation=validation)
    parts = [
        split.read(0) if isinstance(split, BatchStream) else [split]
        for split in (train, test, held)
        if split is not None
    ]
    arrays = (batch[name] for part in parts for batch in part for name in sorted(batch))
    fingerprint = fingerprint_of(arrays)
    return StreamedDataset("batches", train, test, fingerprint=fingerprint, validation=held)


def examples_of(data: Any) -> Examples:
    """Arrays by name, of a mapping of them or of an iterable of batches, read to its end.

    Raises:
      ConfigError: another type, or no batches.

    Example:
      >>> import numpy as np
      >>> from jaxode.data.accepted import examples_of
      >>> pairs = ((np.zeros((2, 8, 8, 1), np.uint8), np.arange(2)) for _ in range(3))
      >>> {name: array.shape for name, array in examples_of(pairs).items()}
      {'image': (6, 8, 8, 1), 'label': (6,)}
    """
    if isinstance(data, Mapping):
        return _arrays(data)
    batches = list(_batches(data))
    if not batches:
        raise ConfigError("data must be at least one batch, got none")
    return {name: np.concatenate([each[name] for each in batches]) for name in batches[0]}


def _split(given: Any, name: str) -> Examples | BatchStream:
    if isinstance(given, BatchStream):
        return given
    if isinstance(given, Mapping):
        return _arrays(given)
    if isinstance(given, Iterator):
        raise ConfigError(
            f"{name} must be batches that can be gone through in every epoch, such as a list, got"
            f" {type(given).__name__}"
        )
    counts = [_count(batch) for batch in _batches(given)]
    return BatchStream(lambda epoch: _batches(given), examples=sum(counts), batches=len(counts))


def _count(batch: Examples) -> int:
    """Examples of weight above 0."""
    if "weight" in batch:
        return int(np.sum(batch["weight"] > 0))
    return len(next(iter(batch.values()), ()))


def _batches(given: Any) -> Iterator[Examples]:
    if not isinstance(given, Iterable) or isinstance(given, (str, bytes)):
        got = type(given).__name__
        raise ConfigError(f"data must be arrays by name or an iterable of batches, got {got}")
    for batch in given:
        if isinstance(batch, Mapping):
            yield _arrays(batch)
        elif isinstance(batch, (tuple, list)) and len(batch) == len(PAIR):
            yield _arrays(dict(zip(PAIR, batch, strict=True)))
        else:
            raise ConfigError(
                "a batch must be a mapping of arrays, or a pair of images and labels, got"
                f" {type(batch).__name__}"
            )


def _arrays(given: Mapping[str, Any]) -> dict[str, np.ndarray]:
    return {name: np.asarray(array) for name, array in given.items()}
