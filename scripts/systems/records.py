"""Records of runs of the systems' experiments (density, series, detection, depth), one file each.

A record has the settings of the experiment (`experiment`) and the run's result.json (`result`); and
the lines of its last epoch and of the one that validation chose (`last`, `best`), from which
figures are read where a record has them.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from experiments.densities.config import PLANE
from jaxode.checks import ConfigError, one_line
from jaxode.runs.files import write_json
from jaxode.runs.history import METRICS
from jaxode.runs.summary import RESULT
from jaxode.strict_json import need, read_object, read_objects

FOLDERS = {
    "density": Path("docs/densities"),
    "series": Path("docs/series"),
    "detection": Path("docs/detection"),
    "depth": Path("docs/depth"),
}
"""Where the documents of each system are, and below them its records."""

EXPERIMENT = "experiment.json"
SETTINGS = {
    "density": "density.json",
    "series": EXPERIMENT,
    "detection": EXPERIMENT,
    "depth": EXPERIMENT,
}
"""Where a run of each system has the settings of its experiment."""

OWN_SETTING = {"target": "density", "backbone": "detection", "vgg_width": "depth", "data": "series"}
"""The system of an experiment with a setting of that name, the first that it has."""

OF_A_START = ("command", "data_dir", "resume", "seed", "fold", "left_out")
"""Settings in which runs of one protocol differ."""

DONE = ("complete", "stopped_early")


@dataclass(frozen=True)
class SystemRecord:
    """A finished run of a system.

    Args:
      system: of FOLDERS.
      experiment: the settings of the experiment.
      result: the run's result.json.
      last: the last epoch's line of metrics; empty where it was not kept.
      best: that of the epoch that the task's monitored number chose.
    """

    system: str
    experiment: dict[str, Any]
    result: dict[str, Any]
    last: dict[str, Any] = field(default_factory=dict)
    best: dict[str, Any] = field(default_factory=dict)

    @property
    def protocol(self) -> str:
        """The settings that runs of one protocol share, as text."""
        shared = {k: v for k, v in self.experiment.items() if k not in OF_A_START}
        return json.dumps(shared, sort_keys=True)

    @property
    def name(self) -> str:
        """Of its file, without the ending."""
        given = self.experiment
        if self.system == "density":
            parts = [Path(given["target"]).stem]
        elif self.system in ("detection", "depth"):
            part = "backbone" if self.system == "detection" else "encoder"
            parts = [Path(given["data"]).stem, given[part]]
        else:
            many = given["observed"] if given["data"] == "spirals" else ""
            model = self.result["model"].rpartition(".")[2]
            parts = [f"{Path(given['data']).stem}{many}", MODELS.get(model, model)]
        if self.system == "density" and given["target"] not in PLANE:
            parts.append(f"fold{given['fold']}")
        if given["seed"]:
            parts.append(f"seed{given['seed']}")
        return "_".join(parts)

    def number(self, name: str, *, chosen: bool) -> float | None:
        """A number of the run.

        Args:
          name: of a line of metrics.
          chosen: of the epoch that validation chose, or of the last one.
        """
        line = self.best if chosen else self.last
        found = (line or self.result).get(name)
        return None if found is None else float(found)


MODELS = {
    "LatentODE": "latent_ode",
    "RNNForecaster": "rnn",
    "ODERNN": "ode_rnn",
    "NeuralCDE": "neural_cde",
    "GRUD": "gru_d",
    "RNNDelta": "rnn_delta",
}
"""Names of the command line by the classes that a result names."""


def shown_command(command: str) -> str:
    """A command without the places of one machine: DIR for the data, no --out.

    Args:
      command: as it was typed.
    """
    words, found = shlex.split(command), []
    hidden = {"--data-dir": ["DIR"], "--out": [], "--quiet": []}
    skip = False
    for word in words:
        if skip:
            skip = False
            continue
        flag, equals, _ = word.partition("=")
        if flag in hidden:
            found += [flag, *hidden[flag]] if hidden[flag] else []
            skip = not equals and flag != "--quiet"
        elif flag != "--resume":
            found.append(word)
    return shlex.join(found)


def system_of(experiment: Mapping[str, Any], where: object) -> str:
    """Of which system an experiment is, by the settings that it has.

    Args:
      experiment: its settings.
      where: they are from, for messages.

    Raises:
      ValueError: of none.
    """
    found = next((system for key, system in OWN_SETTING.items() if key in experiment), None)
    if found is None:
        raise ValueError(f"{where}: the experiment has none of {', '.join(OWN_SETTING)}")
    return found


def of_run(directory: Path) -> SystemRecord:
    """The record of a run's directory.

    Args:
      directory: of a finished run of one of the systems.

    Raises:
      ConfigError: it is none, or its files are damaged.
    """
    files = tuple(dict.fromkeys(SETTINGS.values()))
    file = next((name for name in files if (directory / name).is_file()), None)
    if file is None:
        raise ConfigError(
            f"{directory} must be a run of {', '.join(FOLDERS)}, with {' or '.join(files)}"
        )
    try:
        experiment = read_object(directory / file)
        system = system_of(experiment, directory / file)
        result = read_object(directory / RESULT)
        lines = read_objects(directory / METRICS)
        experiment["command"] = shown_command(need(experiment, "command", str, file))
        if result.get("status") not in DONE or not lines:
            raise ConfigError(f"{directory} must be a finished run, and is {result.get('status')}")
        best = lines[need(result, "best_epoch", int, RESULT) - 1]
    except (OSError, ValueError, IndexError) as error:
        raise ConfigError(one_line(error)) from error
    return SystemRecord(system, experiment, result, lines[-1], best)


def keep(record: SystemRecord, folder: Path) -> Path:
    """Write a record into a folder; the same run again replaces its own.

    Args:
      record: of a run.
      folder: of records.

    Returns:
      The file.

    Raises:
      OSError: it could not be written.
      ConfigError: another record that is there cannot be read.
    """
    path = folder / f"{record.name}.json"
    if path.exists() and _read(path).protocol != record.protocol:
        digest = hashlib.sha256(record.protocol.encode()).hexdigest()[:8]
        path = folder / f"{record.name}_{digest}.json"
    experiment = {k: v for k, v in record.experiment.items() if k != "data_dir"}
    content = {"experiment": experiment, "result": record.result}
    folder.mkdir(parents=True, exist_ok=True)
    write_json(path, {**content, "last": record.last, "best": record.best})
    return path


def read(folder: Path) -> list[SystemRecord]:
    """All records of a folder, by name. Raises ConfigError if a file is none."""
    return [_read(path) for path in sorted(folder.glob("*.json"))]


def _read(path: Path) -> SystemRecord:
    try:
        content = read_object(path)
        experiment = need(content, "experiment", dict, path)
        result = need(content, "result", dict, path)
        system = system_of(experiment, path)
        for key, kind in (("command", str), ("seed", int)):
            need(experiment, key, kind, f"{path}: experiment")
        need(result, "model", str, f"{path}: result")
    except (OSError, ValueError) as error:
        raise ConfigError(one_line(error)) from error
    lines: Sequence[Mapping[str, Any]] = [content.get(name, {}) for name in ("last", "best")]
    return SystemRecord(system, experiment, result, *map(dict, lines))
