"""Tasks on time series: their part of a batch, and one class for each series."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Array, Float

from jaxode.data.series import PaddedSeries
from jaxode.losses import cross_entropy
from jaxode.nn.series import Series
from jaxode.tasks.base import Batch, Model, call_model
from jaxode.tasks.classification import Classification
from jaxode.types import Logits

if TYPE_CHECKING:
    from jaxode.data.streaming import Examples


def examples_of(series: PaddedSeries) -> Examples:
    """The arrays of a data set of series, for `jaxode.data.ArrayDataset`.

    Args:
      series: with labels or without.

    Returns:
      `times`, `values`, `mask` (float32), `lengths` and, if there are labels, `label`.

    Example:
      >>> from jaxode.data.series import pad
      >>> from jaxode.tasks import examples_of
      >>> sorted(examples_of(pad([([0.0], [[1.0]])])))
      ['lengths', 'mask', 'times', 'values']
    """
    arrays = {
        "times": series.times,
        "values": series.values,
        "mask": series.mask.astype(np.float32),
        "lengths": series.lengths,
    }
    return arrays if series.labels is None else {**arrays, "label": series.labels}


def series_of(batch: Mapping[str, Array]) -> Series:
    """The series of a batch with the arrays of `examples_of`.

    Example:
      >>> from jaxode.data.series import pad
      >>> from jaxode.tasks import examples_of, series_of
      >>> series_of(examples_of(pad([([0.0, 2.0], [[1.0], [3.0]])]))).lengths.tolist()
      [2]
    """
    return Series(batch["times"], batch["values"], batch["mask"], batch["lengths"])


class SeriesClassification(Classification):
    """Classification of series by cross-entropy; the model maps a `Series` to logits [B, K].

    Args:
      classes: K.
      monitor: metric that selects the best checkpoint, as of `Task`.

    Example:
      >>> from jaxode.tasks import SeriesClassification
      >>> SeriesClassification(9).examples
      'series'
    """

    examples = "series"

    def __init__(self, classes: int, monitor: str = "test_accuracy") -> None:
        super().__init__(classes, inputs="values")
        self.monitor, self.mode = monitor, "min" if monitor.endswith("loss") else "max"

    def loss(
        self, model: Model, batch: Batch, total: Float[Array, ""]
    ) -> tuple[Float[Array, ""], Logits]:
        """Share of the mean cross-entropy in nats, and the logits [B, K]."""
        logits = call_model(model, series_of(batch), batch)
        return cross_entropy(logits, batch["label"], batch["weight"], total), logits
