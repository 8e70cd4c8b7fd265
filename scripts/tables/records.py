"""Records: what is kept of a complete run, one JSON file each, and the runs of a row among them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxode.checks import ConfigError
from jaxode.config import RunConfig
from jaxode.train import ResumeError, read_config
from jaxode.train.files import write_json
from scripts.tables.protocols import Scale, identity, run_name, settings
from scripts.tables.table import Row, Table

LEFT_OUT = ("data_dir",)
"""Settings that tell of a machine, not of a run."""


NEEDED = (
    "test_accuracy", "train_accuracy", "test_macro_f1", "train_images", "test_images", "parameters", "nfe_forward",
    "device", "cores", "commit", "versions", "date", "classification",
)  # fmt: skip
"""What tables and pictures read of a result."""


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
        """What is needed of the result and is not there."""
        return [name for name in NEEDED if name not in self.result]

    @property
    def images(self) -> int:
        """How many there were, for training and testing."""
        return self.result["train_images"] + self.result["test_images"]


def of_run(directory: Path) -> Record | None:
    """The record of a run's directory; None where there is no complete run."""
    try:
        config = read_config(directory)
        result = json.loads((directory / "result.json").read_text(encoding="utf-8"))
        lines = (directory / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        history = [json.loads(line) for line in lines]
    except (ResumeError, OSError, ValueError):
        return None
    whole = isinstance(result, dict) and result.get("status") == "complete" and len(history) == config.epochs
    return Record(config, result, history) if whole else None


def keep(record: Record, folder: Path) -> None:
    """Write a record into a folder. Raises OSError."""
    parts = {
        name: {key: value for key, value in part.items() if key not in LEFT_OUT} if isinstance(part, dict) else part
        for name, part in record.config.to_json().items()
    }
    content = {"config": parts, "result": record.result, "history": record.history}
    write_json(folder / f"{record.name}.json", content)


def read(folder: Path) -> list[Record]:
    """All records of a folder, by name. Raises ConfigError if a file is no record."""
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            record = Record(RunConfig.from_json(content["config"]), content["result"], content["history"])
            if record.lacking:
                raise ValueError(f"its result has no {record.lacking[0]}")
            found.append(record)
        except (ValueError, LookupError, TypeError) as error:
            raise ConfigError(f"{path} is no record of a run: {' '.join(str(error).split())}") from error
    return found


def of_row(records: Iterable[Record], table: Table, row: Row, scale: Scale) -> list[Record]:
    """The runs of a row by a protocol, one for each seed, on as many images as the table asks for."""
    wanted = identity(settings(table, row, scale))
    found = (r for r in records if identity(r.config) == wanted and r.images == table.images.get(scale, r.images))
    return sorted(found, key=lambda r: r.config.seed)
