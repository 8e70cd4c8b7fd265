"""A row of a system's table: a problem, how it is run, and what was published of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Figure:
    """A published figure.

    Args:
      value: as it was printed.
      source: whose it is.
      recalled: whether it is from memory of the paper, whose table nobody here has read.
    """

    value: str
    source: str
    recalled: bool = True

    def __str__(self) -> str:
        return f"{self.value} ({self.source}{', as recalled' if self.recalled else ''})"


@dataclass(frozen=True)
class SystemRow:
    """A problem, and how it is run.

    Args:
      label: in the table.
      problem: settings that make a record one of this row's, by name.
      cpu: further settings of its run within an hour or two on 2 cores.
      full: those of the source's protocol.
      published: figures beside it, for each measure of the row.
      measures: names of `scripts.systems.measures.MEASURES`.
      folder: of the data, below --data-dir.
      folds: runs with a fold each.
    """

    label: str
    problem: Settings
    cpu: Settings
    full: Settings
    published: Mapping[str, tuple[Figure, ...]] = field(default_factory=dict)
    measures: tuple[str, ...] = ("log_likelihood",)
    folder: str | None = None
    folds: int = 1


@dataclass(frozen=True)
class SystemTable:
    """The rows of a system.

    Args:
      name: of the command line.
      title: of a document.
      rows: one for each problem and model.
    """

    name: str
    title: str
    rows: tuple[SystemRow, ...]
