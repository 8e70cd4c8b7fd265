"""A published table: its rows, with the settings and the published results of each."""

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
    """One model of a table.

    Args:
      label: its name in the table.
      settings: besides those of the table.
      published: the results as printed, by the names of `scripts.tables.columns.MEASURES`.
      cpu_epochs: of the protocol `cpu`, if not those of the table.
    """

    label: str
    settings: Settings
    published: Published = field(default_factory=dict)
    cpu_epochs: int | None = None


@dataclass(frozen=True)
class Table:
    """A published table.

    Args:
      name: of the command line.
      title: of the document.
      dataset: on which all rows are trained.
      rows: one for each model.
      cpu_epochs: of the protocol `cpu`.
      settings: of the published protocol, where it differs from the data set's preset.
      text: printed above the table.
      cpu_settings: other settings that differ in the protocol `cpu`.
      images: number of training and test images together, by protocol, where a part of a data set
        can be used.
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
