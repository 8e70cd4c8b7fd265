"""Records of complete runs, one JSON file each, and the records of a row of a table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxode.checks import ConfigError
from jaxode.config import RunConfig
from jaxode.config.migration import migrated
from jaxode.runs import history, read_config
from jaxode.runs.files import write_json
from jaxode.runs.history import METRICS
from jaxode.runs.summary import RESULT
from jaxode.strict_json import need, read_object, read_objects
from scripts.tables.protocols import Scale, identity, run_name, settings
from scripts.tables.table import Row, Table

LEFT_OUT = ("data_dir",)
"""Settings of a machine, not of a run."""


KINDS = {
    "test_accuracy": float,
    "train_accuracy": float,
    "test_macro_f1": float,
    "train_images": int,
    "test_images": int,
    "parameters": int,
    "nfe_forward": float,
    "device": str,
    "cores": int,
    "commit": str,
    "versions": dict,
    "date": str,
    "classification": dict,
}
"""The values of a result that tables and pictures use, with their types."""

MAY_BE_NULL = ("nfe_forward", "commit")


@dataclass(frozen=True)
class Record:
    """A complete run: its settings, its result.json and the lines of its metrics.jsonl."""

    config: RunConfig
    result: dict[str, Any]
    history: list[dict[str, Any]]

    @property
    def name(self) -> str:
        """Name of its file, without the ending."""
        return run_name(self.config)

    @property
    def lacking(self) -> list[str]:
        """Names of the values that the result lacks."""
        return [name for name in KINDS if name not in self.result]

    @property
    def images(self) -> int:
        """How many there were, for training and testing."""
        return self.result["train_images"] + self.result["test_images"]


def check_result(result: dict[str, Any], where: object) -> None:
    """Raise ValueError, naming the key, if a result's value is of another kind than written."""
    for name, kind in KINDS.items():
        if result.get(name) is not None or (name in result and name not in MAY_BE_NULL):
            need(result, name, kind, where)
    table = result.get("classification", {})
    if not table:
        return
    place = f"{where}: classification"
    classes, confusion = need(table, "by_class", dict, place), need(table, "confusion", list, place)
    for name in classes:
        scores = need(classes, name, dict, f"{place}: by_class")
        need(scores, "recall", float, f"{place}: {name}")
        need(scores, "images", int, f"{place}: {name}")
    rows = [row for row in confusion if isinstance(row, list) and len(row) == len(classes)]
    if len(rows) != len(classes) or any(type(count) is not int for row in rows for count in row):
        raise ValueError(f"{place}: confusion must be {len(classes)} lists of as many integers")


def of_run(directory: Path) -> Record | None:
    """The record of a run's directory; None where there is no complete run.

    Raises ConfigError, naming file and key, if the files of a run are damaged.
    """
    try:
        config = read_config(directory)
        result = read_object(directory / RESULT)
        if result.get("status") != "complete":
            return None
        lines = read_objects(directory / METRICS)
        if len(lines) != config.epochs:
            return None
        check_result(result, directory / RESULT)
        history.check(lines, directory / METRICS, "test_accuracy")
    except OSError:
        return None
    except ValueError as error:
        raise ConfigError(" ".join(str(error).split())) from error
    return Record(config, result, lines)


def keep(record: Record, folder: Path) -> None:
    """Write a record into a folder. Raises OSError."""
    parts = {
        name: (
            {key: value for key, value in part.items() if key not in LEFT_OUT}
            if isinstance(part, dict)
            else part
        )
        for name, part in record.config.to_json().items()
    }
    content = {"config": parts, "result": record.result, "history": record.history}
    write_json(folder / f"{record.name}.json", content)


def read(folder: Path) -> list[Record]:
    """All records of a folder, by name. Raises ConfigError if a file is no record."""
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            found.append(_read(path))
        except (ValueError, OSError) as error:
            reason = " ".join(str(error).split()).removeprefix(f"{path}: ")
            raise ConfigError(f"{path} is no record of a run: {reason}") from error
    return found


def _read(path: Path) -> Record:
    """The record in a file. Raises OSError, ValueError."""
    content = read_object(path)
    result, lines = need(content, "result", dict, path), need(content, "history", list, path)
    config = RunConfig.from_json(migrated(need(content, "config", dict, path)))
    record = Record(config, result, lines)
    if record.lacking:
        raise ValueError(f"its result has no {record.lacking[0]}")
    check_result(result, "result")
    history.check(lines, "history", "test_accuracy")
    if not lines:
        raise ValueError("its history has no epoch")
    return record


def of_row(records: Iterable[Record], table: Table, row: Row, scale: Scale) -> list[Record]:
    """The runs of a row by a protocol on as many images as its table has, one for each seed."""
    wanted = identity(settings(table, row, scale))
    found = (
        r
        for r in records
        if identity(r.config) == wanted and r.images == table.images.get(scale, r.images)
    )
    return sorted(found, key=lambda r: r.config.seed)
