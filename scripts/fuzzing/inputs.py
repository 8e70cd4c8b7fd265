"""All surfaces on which inputs are tried, and a round of them."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

from scripts.fuzzing import (
    commands,
    idx_files,
    picture_files,
    prepared_sets,
    radar_files,
    run_files,
    text_files,
    weight_files,
)
from scripts.fuzzing.verdict import Case, Finding, carry_out

Cases = Callable[[Random, int, Path], Iterator[Case]]

SURFACES: dict[str, tuple[Cases, int]] = {
    "command line": (lambda rng, count, work: commands.cases(rng, count), 240),
    "files of a complete run": (run_files.complete, 36),
    "files of a run that goes on": (run_files.going_on, 12),
    "IDX files": (idx_files.cases, 220),
    "prepared sets": (prepared_sets.cases, 100),
    "pictures": (picture_files.cases, 140),
    "radar images": (radar_files.cases, 130),
    "weights": (weight_files.cases, 230),
    "annotations of boxes": (text_files.cases(text_files.ANNOTATION), 120),
    "tables of points": (text_files.cases(text_files.TABLE, text_files.POINTS), 160),
    "time series": (text_files.cases(text_files.SERIES, text_files.STAMPED), 160),
}
"""Each surface: its cases, and how many of them make a round."""


def attack(surface: str, seed: int, work: Path, count: int | None = None) -> list[Finding]:
    """What a surface answers to so many of its cases, which a seed draws.

    Args:
        surface: a name of SURFACES.
        seed: of the cases.
        work: an empty folder for what they need.
        count: how many; those of a round if left out.
    """
    make, usual = SURFACES[surface]
    with warnings.catch_warnings(), contextlib.chdir(work):
        warnings.simplefilter("ignore")  # those of the libraries with which hostile files are made
        cases = make(Random(f"{seed} {surface}"), usual if count is None else count, work)
        return [carry_out(case) for case in cases]
