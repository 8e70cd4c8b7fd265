"""Runs side by side: those that differ only in their seed make a group."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from jaxode.checks import ConfigError
from jaxode.config import RunConfig
from jaxode.errors import ResumeError
from jaxode.runs.stored_config import read_config
from jaxode.strict_json import read_object

RESULT = "result.json"

IGNORED = ("seed", "data_dir", "devices", "kernels", "data")
"""Settings that do not make another group: where and how a run was carried out."""

COLUMNS = (
    "epochs", "test_accuracy", "best_test_accuracy", "test_macro_f1", "test_loss", "nfe_forward",
    "nfe_backward", "train_seconds_per_epoch", "parameters",
)  # fmt: skip
"""Numbers of a result that are compared, where any of the runs has them."""


@dataclass(frozen=True)
class FinishedRun:
    """A run's directory, settings and result."""

    path: Path
    config: RunConfig
    result: dict[str, Any]


@dataclass(frozen=True)
class Group:
    """Runs of the same settings with one or several seeds.

    Args:
      label: the settings in which the groups differ.
      runs: at least one.
    """

    label: str
    runs: tuple[FinishedRun, ...]

    @property
    def seeds(self) -> list[int]:
        """Of the runs."""
        return sorted(run.config.seed for run in self.runs)

    def values(self, column: str) -> list[float]:
        """A number of each run that has it."""
        found = (run.result.get(column) for run in self.runs)
        return [float(value) for value in found if isinstance(value, (int, float))]

    def mean(self, column: str) -> float | None:
        """Mean over the runs; None where no run has the number."""
        values = self.values(column)
        return fmean(values) if values else None

    def deviation(self, column: str) -> float | None:
        """Sample standard deviation over the runs; None for fewer than two."""
        values = self.values(column)
        return stdev(values) if len(values) > 1 else None


@dataclass(frozen=True)
class Comparison:
    """Groups of runs, and the columns that any of them has."""

    groups: tuple[Group, ...]

    @property
    def columns(self) -> list[str]:
        """Numbers that some group has."""
        return [name for name in COLUMNS if any(group.values(name) for group in self.groups)]

    def cells(self) -> list[list[str]]:
        """Head and rows of the table, as text: mean ± standard deviation over the seeds."""
        rows = [["settings", "seeds", *(name.replace("_", " ") for name in self.columns)]]
        for group in self.groups:
            seeds = ", ".join(map(str, group.seeds))
            rows.append([group.label, seeds, *(_shown(group, name) for name in self.columns)])
        return rows

    def __str__(self) -> str:
        return self.to_text()

    def to_text(self) -> str:
        """The table in columns."""
        rows = self.cells()
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        )

    def to_markdown(self) -> str:
        """The table in Markdown."""
        head, *rows = self.cells()
        lines = [head, ["---"] * len(head), *rows]
        return "".join(f"| {' | '.join(line)} |\n" for line in lines)

    def to_csv(self) -> str:
        """One line a run, with all digits."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["run", "settings", "seed", *self.columns])
        for group in self.groups:
            for run in group.runs:
                numbers = [run.result.get(name) for name in self.columns]
                writer.writerow([run.path, group.label, run.config.seed, *numbers])
        return text.getvalue()


def compare_runs(paths: Sequence[str | os.PathLike[str]]) -> Comparison:
    """Read runs and group those that differ only in their seed.

    Args:
      paths: directories of runs, each with a result of at least one epoch.

    Returns:
      The groups, which `print` shows as a table; `to_markdown` and `to_csv` give it as text.

    Raises:
      ConfigError: no paths, or one that is no such run.

    Example:
      >>> import jaxode
      >>> found = jaxode.compare_runs(["runs/seed-0", "runs/seed-1"])  # doctest: +SKIP
      >>> found.groups[0].mean("test_accuracy")  # doctest: +SKIP
      0.9885
    """
    if not paths:
        raise ConfigError("runs must be at least one, got none")
    grouped: dict[str, list[FinishedRun]] = {}
    for path in dict.fromkeys(map(Path, paths)):
        run = _read(path)
        settings = {k: v for k, v in run.config.flat().items() if k not in IGNORED}
        grouped.setdefault(repr(sorted(settings.items())), []).append(run)
    groups = list(grouped.values())
    labels = _labels([runs[0].config for runs in groups])
    return Comparison(
        tuple(Group(label, tuple(runs)) for label, runs in zip(labels, groups, strict=True))
    )


def _read(path: Path) -> FinishedRun:
    try:
        config, result = read_config(path), read_object(path / RESULT)
    except (ResumeError, ValueError) as error:
        raise ConfigError(str(error)) from error
    except OSError as error:
        raise ConfigError(f"{path / RESULT} cannot be read: {error.strerror}") from error
    if not result.get("epochs"):
        raise ConfigError(f"{path} has no results yet: no epoch is done")
    return FinishedRun(path, config, result)


def _labels(configs: Sequence[RunConfig]) -> list[str]:
    """For each group the model, the data set, and the settings in which the groups differ."""
    flat = [config.flat() for config in configs]
    differing = [
        name
        for name in flat[0]
        if name not in (*IGNORED, "model", "dataset")
        and len({str(values[name]) for values in flat}) > 1
    ]
    labels = []
    for config, values in zip(configs, flat, strict=True):
        shown = [f"{name} {values[name]}" for name in differing if values[name] is not None]
        labels.append(", ".join([f"{config.model.name} on {config.data.dataset}", *shown]))
    return labels


def _shown(group: Group, column: str) -> str:
    mean, deviation = group.mean(column), group.deviation(column)
    if mean is None:
        return "–"
    share = column.endswith(("accuracy", "macro_f1"))
    if column in ("epochs", "parameters"):
        return f"{mean:,.0f}"
    scale, digits, unit = (100, 2, " %") if share else (1, 4 if "loss" in column else 1, "")
    text = f"{scale * mean:.{digits}f}"
    if deviation is not None:
        text += f" ± {scale * deviation:.{digits}f}"
    return text + unit
