"""The data-set protocol: what a trainer asks of a data set, and one made of arrays."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from jaxode.checks import ConfigError
from jaxode.config import RunConfig
from jaxode.data.preprocessing import UNCHANGED, Views
from jaxode.data.streaming import BatchStream, Examples

SPLITS = ("train", "test")
"""Of every data set."""

VALIDATION = "validation"
"""A split that a data set may have: what is evaluated to choose the best checkpoint by."""


class Dataset(Protocol):
    """A training and a test split, and what a model has to know of them.

    Any object with these members is accepted; none of them need be a subclass.

    Example:
      >>> from jaxode.data import Dataset, load_dataset
      >>> def summary(data: Dataset) -> str:
      ...     return f"{data.name} ({data.source}), {len(data.fingerprint)} characters"
      >>> summary(load_dataset("mnist", data="sample"))
      'mnist (sample), 64 characters'
    """

    @property
    def name(self) -> str:
        """For records and titles."""
        ...

    @property
    def source(self) -> str:
        """`full`, or `sample` for a part that is bundled; recorded with the result."""
        ...

    @property
    def spec(self) -> Any:
        """Facts for the task: `class_names`, say."""
        ...

    @property
    def splits(self) -> Mapping[str, Examples | BatchStream]:
        """The examples of `train` and of `test`, at least one each; or how they are read.

        A third split, `validation`, is evaluated after every epoch too, so that a task's `monitor`
        can be `validation_loss`.
        """
        ...

    @property
    def fingerprint(self) -> str:
        """Equal for equal data: a run goes on only with the data that it began with."""
        ...

    def views(self, config: RunConfig) -> Views:
        """What becomes of a batch before the model sees it."""
        ...

    def model_options(self, config: RunConfig) -> dict[str, Any]:
        """Keyword arguments for the function that builds the model, such as `image_shape`."""
        ...


@dataclass(frozen=True)
class ArrayDataset:
    """A data set of arrays in memory, for a task of your own.

    Args:
      name: for records and titles.
      train: arrays of the training examples, [N, ...] each.
      test: arrays of the test examples under the same names.
      spec: facts for the task, if it asks for any.
      validation: arrays of examples to choose the best checkpoint by, if there are any.
      transforms: batches of training and of evaluation → what the model and the task see; by
        default as they are stored.

    Raises:
      ConfigError: no examples, arrays of unequal length, or other names in the two splits.

    Example:
      >>> import numpy as np
      >>> from jaxode.data import ArrayDataset
      >>> x = np.linspace(-1, 1, 64, dtype=np.float32)[:, None]
      >>> data = ArrayDataset("squares", {"input": x, "target": x**2}, {"input": x, "target": x**2})
      >>> sorted(data.splits["train"])
      ['input', 'target']
    """

    name: str
    train: Examples
    test: Examples
    spec: Any = None
    transforms: Views = UNCHANGED
    source: str = field(default="full", init=False)
    validation: Examples | None = None

    def __post_init__(self) -> None:
        for split, arrays in self.splits.items():
            lengths = {name: len(array) for name, array in arrays.items()}
            if len(set(lengths.values())) != 1 or not all(lengths.values()):
                raise ConfigError(
                    f"{split} must be arrays of one length of at least 1, got {lengths}"
                )
            if set(self.train) != set(arrays):
                raise ConfigError(
                    f"{split} must have the arrays of train, {sorted(self.train)}, got"
                    f" {sorted(arrays)}"
                )

    @property
    def splits(self) -> dict[str, Examples]:
        """The examples of each split."""
        both = {"train": self.train, "test": self.test}
        return both if self.validation is None else {**both, VALIDATION: self.validation}

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all arrays."""
        names = sorted(self.train)
        return fingerprint_of(split[name] for split in self.splits.values() for name in names)

    def views(self, config: RunConfig) -> Views:
        """The transforms given."""
        return self.transforms

    def model_options(self, config: RunConfig) -> dict[str, Any]:
        """Nothing: a model for these data is built by their user."""
        return {}


def fingerprint_of(arrays: Iterable[np.ndarray]) -> str:
    """SHA-256 of shapes and numbers: equal for equal arrays."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(str(array.shape).encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
