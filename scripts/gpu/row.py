"""A row of the check's results, and the sizes at which the parts run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class Row:
    """One thing checked or measured.

    Attributes:
      part: the part that found it.
      name: what it is.
      value: the figure; None where only yes or no is known.
      unit: of the figure.
      limit: the most that it may be; None where it is only reported.
      aim: the least that was aimed at; missing it fails nothing.
      passed: whether the check holds; None where nothing is checked.
      note: a remark, or why it failed.
    """

    part: str
    name: str
    value: float | None = None
    unit: str = ""
    limit: float | None = None
    aim: float | None = None
    passed: bool | None = None
    note: str = ""


class Size(NamedTuple):
    """How large the parts' problems are.

    Attributes:
      batch: images in a step.
      width: channels of the feature maps.
      images: training images of the runs that show that training works.
      epochs: of these runs.
      runs: paired runs of a timing.
      batches: of the sweep over batch sizes, beside `batch`.
    """

    batch: int
    width: int
    images: int
    epochs: int
    runs: int
    batches: tuple[int, ...]


FULL = Size(batch=128, width=64, images=1024, epochs=2, runs=5, batches=(1024, 4096, 256, 512))
TINY = Size(batch=4, width=8, images=128, epochs=3, runs=1, batches=(8,))
"""Of a rehearsal on a CPU."""


def within(part: str, name: str, value: float, limit: float | None, note: str = "") -> Row:
    """The row of an error, which passes if it is at most its limit. NaN never passes."""
    passed = None if limit is None else bool(value <= limit)
    return Row(part, name, value, "relative error", limit, passed=passed, note=note)
