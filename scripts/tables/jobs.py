"""Runs of the tables' rows, for `scripts.reproduce`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from jaxode.cli.train import is_complete
from jaxode.config import RunConfig
from jaxode.runs.files import count_lines
from scripts.tables.protocols import Scale, published_epochs, run_name, settings
from scripts.tables.table import Row, Table


@dataclass(frozen=True)
class Job:
    """One run of one row."""

    table: Table
    row: Row
    config: RunConfig
    out: Path
    images: int | None = None
    """How many there must be."""

    @property
    def title(self) -> str:
        """For a person."""
        epochs = f"{self.config.epochs} epoch{'s' if self.config.epochs > 1 else ''}"
        return f"{self.table.name}: {self.row.label}, seed {self.config.seed}, {epochs}"

    @property
    def seed(self) -> int:
        """Of all that is drawn."""
        return self.config.seed

    @property
    def epochs_done(self) -> int:
        """Lines of its metrics, complete or not."""
        return count_lines(self.out / "metrics.jsonl")

    @property
    def complete(self) -> bool:
        """Whether nothing is left to do."""
        return is_complete(self.out, self.config)

    @property
    def line(self) -> str:
        """For a list of all runs."""
        done = "complete" if self.complete else f"{self.epochs_done} of {self.config.epochs} epochs"
        published = published_epochs(self.table)
        return (
            f"{self.table.name:22} {self.row.label:24} {done:18} (full: {published} epochs) "
            f" {self.out}"
        )


def jobs(
    tables: Sequence[Table], scale: Scale, seeds: Sequence[int], out: Path, only: str | None = None
) -> Iterator[Job]:
    """The runs of the tables' rows whose label contains `only`, shared ones once."""
    seen: set[Path] = set()
    for seed in seeds:
        for table in tables:
            for row in table.rows:
                if only is not None and only.lower() not in row.label.lower():
                    continue
                config = settings(table, row, scale, seed)
                place = out / run_name(config)
                if place not in seen:
                    seen.add(place)
                    yield Job(table, row, config, place, table.images.get(scale))
