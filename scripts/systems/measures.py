"""The figures of records, and the records of a row: several seeds or folds of one protocol."""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from experiments.densities.config import PLANE
from experiments.timeseries.config import NAMED, SeriesConfig
from scripts.systems.records import SystemRecord
from scripts.systems.row import Figure, SystemRow, SystemTable

NOT_RUN = "not yet run"


@dataclass(frozen=True)
class Measure:
    """A figure of a record.

    Args:
      heading: what it is.
      read: record → the number; None where there is none.
      form: how it is written.
      scale: what it is multiplied by.
      unit: behind it.
    """

    heading: str
    read: Callable[[SystemRecord], float | None]
    form: str
    scale: float = 1.0
    unit: str = ""

    def text(self, value: float, spread: float | None = None) -> str:
        """A number, with its standard deviation or error if there is one."""
        text = f"{self.scale * value:{self.form}}{self.unit}"
        text = text if spread is None else f"{text} ± {self.scale * spread:{self.form}}"
        return re.sub("e-0*", "e-", text.replace("-", "−", 1) if value < 0 else text)


def log_likelihood(record: SystemRecord) -> float | None:
    """Mean of the test points in nats; of a table that of the epoch which validation chose."""
    if record.experiment["target"] not in PLANE and record.best:
        return record.number("test_log_likelihood", chosen=True)
    return record.result.get("density", {}).get("nats")


def of_result(*path: str) -> Callable[[SystemRecord], float | None]:
    """Reads a number of the run's result, of its last epoch that is; None where there is none."""

    def read(record: SystemRecord) -> float | None:
        found: Any = record.result
        for name in path:
            found = (found or {}).get(name)
        return found

    return read


def _chosen(name: str) -> Callable[[SystemRecord], float | None]:
    return lambda record: record.number(name, chosen=True)


MEASURES = {
    "log_likelihood": Measure("log-likelihood, nats", log_likelihood, ".4f"),
    "accuracy": Measure("accuracy", _chosen("test_accuracy"), ".1f", 100, " %"),
    "rmse": Measure("RMSE behind the observations", _chosen("test_rmse"), ".3f"),
    "auroc": Measure(
        "area under the ROC curve of deaths, last epoch",
        lambda record: record.result.get("latent_series", {}).get("auroc"),
        ".3f",
    ),
    **{
        name: Measure(name, of_result("detection", name), ".2f" if name == "threshold" else ".3f")
        for name in ("ap50", "ap", "precision", "recall", "f1", "threshold")
    },
    **{
        name: Measure(name, of_result(f"test_{name}"), ".3f")
        for name in ("rel", "rms", "log10", "delta1", "delta2", "delta3")
    },
    "mse": Measure(
        "mean squared error of the reconstruction, last epoch",
        lambda record: record.result.get("latent_series", {}).get("mse"),
        ".2e",
    ),
}


def belongs(record: SystemRecord, table: SystemTable, row: SystemRow) -> bool:
    """Whether a record is of a row's problem, by whatever settings."""
    if record.system != table.name:
        return False
    given = {**record.experiment, "model": model_of(record)}
    return all(given.get(name) == value for name, value in row.problem.items())


def model_of(record: SystemRecord) -> str | None:
    """The model of a record of series, which its settings need not name."""
    if record.system != "series":
        return None
    names = SeriesConfig.__dataclass_fields__
    settings: dict[str, Any] = {k: v for k, v in record.experiment.items() if k in names}
    folder = None if record.experiment["data"] not in NAMED else "DIR"
    return SeriesConfig(**{**settings, "data_dir": folder}).chosen("model")


def protocols_of(
    records: Sequence[SystemRecord], table: SystemTable, row: SystemRow
) -> list[list[SystemRecord]]:
    """The records of a row, those of one protocol together: several seeds or folds."""
    groups: dict[str, list[SystemRecord]] = {}
    for record in records:
        if belongs(record, table, row):
            groups.setdefault(record.protocol, []).append(record)
    return list(groups.values())


def measured(measure: Measure, found: Sequence[SystemRecord], row: SystemRow) -> str:
    """The mean over the runs of a protocol, and ± their standard deviation; – without a number."""
    values = [value for record in found if (value := measure.read(record)) is not None]
    if not values:
        return "–"
    spread = statistics.stdev(values) if len(values) > 1 else _standard_error(measure, found[0])
    text = measure.text(statistics.fmean(values), spread)
    if row.folds > 1:
        return f"{text}, {len(values)} of {row.folds} folds"
    return text if len(values) == 1 else f"{text}, {len(values)} seeds"


def _standard_error(measure: Measure, record: SystemRecord) -> float | None:
    """Of one run's mean over test points, where the run has recorded it of that very mean."""
    found = record.result.get("density", {})
    return found.get("standard_error") if measure.read(record) == found.get("nats") else None


def commands(found: Sequence[SystemRecord]) -> str:
    """The command of the first run of a protocol."""
    first = min(found, key=lambda record: (record.experiment["seed"], record.name))
    return f"`{first.experiment['command']}`"


def figures(given: Sequence[Figure]) -> str:
    """Published figures in one cell."""
    return "; ".join(map(str, given))
