"""Runs of the systems' rows, for `scripts.reproduce`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from experiments.densities.config import TABLES, DensityConfig
from experiments.depths.config import DepthConfig
from experiments.detections.config import DetectionConfig
from experiments.timeseries.config import SeriesConfig
from jaxode.checks import require_choice
from jaxode.cli.flags import flag_of
from jaxode.runs import Progress
from jaxode.runs.files import count_lines
from jaxode.runs.summary import RESULT
from jaxode.strict_json import read_object
from scripts.systems.records import DONE
from scripts.systems.row import SystemRow, SystemTable

SMOKE: Mapping[str, Mapping[str, Any]] = {
    "density": {"epochs": 1, "steps": 5, "test_points": 100},
    "series": {"epochs": 1},
    "detection": {"epochs": 1, "width": 8, "hidden": 8},
    "depth": {"epochs": 1, "width": 8, "vgg_width": 1 / 16, "decoder": 32},
}
"""What shows that everything runs."""

CONFIGS = {
    "density": DensityConfig,
    "series": SeriesConfig,
    "detection": DetectionConfig,
    "depth": DepthConfig,
}


TRAININGS = {
    "density": "experiments.densities.training",
    "series": "experiments.timeseries.training",
    "detection": "experiments.detections.training",
    "depth": "experiments.depths.training",
}

Config = DensityConfig | SeriesConfig | DetectionConfig | DepthConfig


@dataclass(frozen=True)
class SystemJob:
    """One run of one row of a system's table.

    Args:
      table: of the row.
      row: what is run.
      settings: of the experiment.
      out: the run's directory.
    """

    table: SystemTable
    row: SystemRow
    settings: Mapping[str, Any]
    out: Path

    @property
    def epochs(self) -> int:
        """Planned."""
        config = self.config("DIR")
        return config.chosen("epochs") if isinstance(config, SeriesConfig) else config.epochs

    @property
    def title(self) -> str:
        """For a person."""
        fold = f", fold {self.settings['fold']}" if self.row.folds > 1 else ""
        seed = self.settings["seed"]
        return f"{self.table.name}: {self.row.label}{fold}, seed {seed}, {self.epochs} epochs"

    @property
    def line(self) -> str:
        """For a list of all runs."""
        done = "complete" if self.complete else f"{self.epochs_done} of {self.epochs} epochs"
        return f"{self.table.name:10} {self.row.label:60} {done:22} {self.out}"

    @property
    def seed(self) -> int:
        """Of all that is drawn."""
        return self.settings["seed"]

    @property
    def epochs_done(self) -> int:
        """Lines of its metrics, complete or not."""
        return count_lines(self.out / "metrics.jsonl")

    @property
    def complete(self) -> bool:
        """Whether nothing is left to do."""
        try:
            return read_object(self.out / RESULT).get("status") in DONE
        except (OSError, ValueError):
            return False

    def config(self, data_dir: str | None) -> Config:
        """The settings of the experiment, for data in a folder. Raises ConfigError."""
        given = dict(self.settings)
        if self.row.folder is not None:
            below = None if data_dir is None else Path(data_dir, self.row.folder)
            given["data_dir"] = str(below) if below is not None and below.is_dir() else data_dir
        return CONFIGS[self.table.name](**given)

    @property
    def command(self) -> str:
        """What a person would type for the same run."""
        words = [f"python -m experiments.{self.table.name}"]
        words += [
            f"{flag_of(name)} {value}" for name, value in self.settings.items() if name != "seed"
        ]
        words += ["--data-dir DIR"] if self.row.folder is not None else []
        seed = self.settings["seed"]
        return " ".join([*words, *([f"--seed {seed}"] if seed else [])])

    def run(self, data_dir: str | None, progress: Progress) -> str:
        """Train; returns the last line to print.

        Raises ConfigError, DataError, ResumeError, Stopped, RunFailed, OSError.
        """
        config: Any = replace(self.config(data_dir), resume=(self.out / "config.json").exists())
        training: Any = import_module(TRAININGS[self.table.name])  # imports JAX
        return training.train(config, self.out, progress, self.command)


def system_jobs(
    tables: Sequence[SystemTable],
    scale: str,
    seeds: Sequence[int],
    out: Path,
    only: str | None = None,
) -> Iterator[SystemJob]:
    """The runs of the rows whose label contains `only`.

    Args:
      tables: of the systems.
      scale: full, the source's protocol; cpu, or smoke.
      seeds: a run of each row, or of each of its folds, for each.
      out: directory of the runs.
      only: part of a label.

    Raises:
      ConfigError: an unknown scale.
    """
    require_choice("scale", scale, ("full", "cpu", "smoke"))
    for seed in seeds:
        for table in tables:
            for row in table.rows:
                if only is not None and only.lower() not in row.label.lower():
                    continue
                base = {**row.problem, **(row.full if scale == "full" else row.cpu)}
                base |= SMOKE[table.name] if scale == "smoke" else {}
                for fold in range(row.folds):
                    settings = {**base, "seed": seed}
                    if row.problem.get("target") in TABLES:
                        settings["fold"] = fold
                    words = [str(value) for value in row.problem.values()]
                    words += [f"fold{fold}"] * (row.folds > 1) + [scale, f"seed{seed}"]
                    yield SystemJob(table, row, settings, out / "-".join([table.name, *words]))
