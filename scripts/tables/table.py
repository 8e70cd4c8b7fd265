"""What a published table is: its rows, and what was published of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jaxode.checks import ConfigError

Settings = Mapping[str, Any]
Published = Mapping[str, str]
"""Figures as they were printed, by the names of `scripts.tables.columns.MEASURES`."""


@dataclass(frozen=True)
class Row:
    """One model of a table: its settings beside the table's, and what was published of it.

    `cpu_epochs` is what the protocol `cpu` trains it for, where that is not what it trains the
    table for.
    """

    label: str
    settings: Settings
    published: Published = field(default_factory=dict)
    cpu_epochs: int | None = None


@dataclass(frozen=True)
class Table:
    """A published table.

    `settings` are common to its rows and say the published protocol where it differs from the data
    set's preset. `cpu_epochs` is what the protocol `cpu` trains for, `cpu_settings` what else is
    different there. `images` says by protocol how many images there must be in all, where a data
    set may be had in part.
    """

    name: str
    title: str
    dataset: str
    rows: tuple[Row, ...]
    cpu_epochs: int
    settings: Settings = field(default_factory=dict)
    text: str = ""
    cpu_settings: Settings = field(default_factory=dict)
    images: Mapping[str, int] = field(default_factory=dict)

    def row(self, label: str) -> Row:
        """The row of this label. Raises ConfigError."""
        for row in self.rows:
            if row.label == label:
                return row
        raise ConfigError(
            f"{self.name} has no row {label!r}, only {', '.join(row.label for row in self.rows)}"
        )
