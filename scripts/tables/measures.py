"""The figures that tables show, ours from records beside the published ones as they were printed."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from scripts.tables.records import Record

Result = dict[str, Any]


@dataclass(frozen=True)
class Measure:
    """One figure: its heading, how it is read off a result (None if the model has none), and how it is written."""

    heading: str
    read: Callable[[Result], float | None]
    form: str


def percent(name: str) -> Callable[[Result], float]:
    """A share as percent."""
    return lambda result: 100 * result[name]


def named(name: str) -> Callable[[Result], float | None]:
    """A figure as it is."""
    return lambda result: result[name]


MEASURES = {
    "test_error": Measure("test error %", lambda result: 100 * (1 - result["test_accuracy"]), ".2f"),
    "test_accuracy": Measure("test accuracy %", percent("test_accuracy"), ".2f"),
    "train_accuracy": Measure("accuracy on training images %", percent("train_accuracy"), ".2f"),
    "test_macro_f1": Measure("macro F1", named("test_macro_f1"), ".4f"),
    "train_images": Measure("training images", named("train_images"), ",.0f"),
    "parameters": Measure("parameters", named("parameters"), ",.0f"),
    "nfe": Measure("evaluations a solve", named("nfe_forward"), ".1f"),
    "epoch_seconds": Measure("training s/epoch", named("train_seconds_per_epoch"), ".0f"),
    "eval_seconds": Measure("evaluation s/epoch", named("eval_seconds_per_epoch"), ".0f"),
}
"""In the order of the columns."""


def measured(measure: Measure, records: Sequence[Record]) -> str:
    """Mean over the runs of a row, ± their standard deviation where there are several; – for models without it."""
    values = [value for record in records if (value := measure.read(record.result)) is not None]
    if not values:
        return "–"
    text = format(statistics.fmean(values), measure.form)
    if len(values) > 1 and (spread := statistics.stdev(values)):
        text += f" ± {spread:{measure.form}}"
    return text
