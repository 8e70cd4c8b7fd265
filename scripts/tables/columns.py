"""The columns of tables: ours from records, beside the published ones as printed."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from scripts.tables.records import Record


@dataclass(frozen=True)
class Measure:
    """One column: its heading, how it is read off a record, and how it is written.

    The value is None if the model has none.
    """

    heading: str
    read: Callable[[Record], float | None]
    form: str


def percent(name: str) -> Callable[[Record], float]:
    """A share of the result as percent."""
    return lambda record: 100 * record.result[name]


def named(name: str) -> Callable[[Record], float | None]:
    """A figure of the result as it is."""
    return lambda record: record.result[name]


def training_seconds(record: Record) -> float:
    """Of an epoch: the median, for other work on the machine may have slowed some."""
    return statistics.median(line["train_seconds"] for line in record.history)


def evaluation_seconds(record: Record) -> float:
    """Of training and test images: the median of the epochs that evaluated both."""
    both = [line["eval_seconds"] for line in record.history if line["train_accuracy"] is not None]
    return statistics.median(both)


MEASURES = {
    "test_error": Measure(
        "test error %", lambda record: 100 * (1 - record.result["test_accuracy"]), ".2f"
    ),
    "test_accuracy": Measure("test accuracy %", percent("test_accuracy"), ".2f"),
    "train_accuracy": Measure("accuracy on training images %", percent("train_accuracy"), ".2f"),
    "test_macro_f1": Measure("macro F1", named("test_macro_f1"), ".4f"),
    "train_images": Measure("training images", named("train_images"), ",.0f"),
    "parameters": Measure("parameters", named("parameters"), ",.0f"),
    "nfe": Measure("evaluations a solve", named("nfe_forward"), ".1f"),
    "epoch_seconds": Measure("training s/epoch", training_seconds, ".0f"),
    "eval_seconds": Measure("evaluation s/epoch", evaluation_seconds, ".0f"),
}
"""In the order of the columns."""


def measured(measure: Measure, records: Sequence[Record]) -> str:
    """Mean over the runs of a row, ± their standard deviation where there are several.

    – for models without it.
    """
    values = [value for record in records if (value := measure.read(record)) is not None]
    if not values:
        return "–"
    text = format(statistics.fmean(values), measure.form)
    if len(values) > 1 and (spread := statistics.stdev(values)):
        text += f" ± {spread:{measure.form}}"
    return text
