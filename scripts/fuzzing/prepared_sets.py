"""Hostile prepared sets: one file damaged, its originals there, gone or damaged.

What is accepted is compared with the undamaged set.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from jaxode.data.full import load_full
from jaxode.data.readers import Unavailable
from jaxode.data.registry import SPECS
from jaxode.data.specs import DataError, DatasetSpec, SourceFile
from scripts.fuzzing.damage import damage, remove
from scripts.fuzzing.runs import copied
from scripts.fuzzing.verdict import Case, of_call

REFUSED = (DataError, Unavailable)


def small_cifar(folder: Path) -> DatasetSpec:
    """A CIFAR-10 of 40 + 20 images without published digests, written to a folder."""
    numbers, files = np.random.default_rng(1), []
    for name, count in (("data_batch_1.bin", 40), ("test_batch.bin", 20)):
        rows = numbers.integers(0, 256, (count, 3073), dtype=np.uint8)
        rows[:, 0] %= 10
        (folder / name).write_bytes(rows.tobytes())
        files.append(SourceFile(name, rows.nbytes, None))
    return dataclasses.replace(
        SPECS["cifar10"],
        train_files=(files[0],),
        test_files=(files[1],),
        train_images=40,
        test_images=20,
        archive=None,
        source="",
    )


def same_arrays(expected: dict[str, Any]) -> Callable[[Any], str]:
    """Compares a set with the undamaged one."""

    def right(found: dict[str, Any]) -> str:
        pairs = ((found[split], expected[split]) for split in expected)
        good = all(
            np.array_equal(a, b) for one, other in pairs for a, b in zip(one, other, strict=True)
        )
        return "" if good else "other images than were prepared"

    return right


def cases(rng: Random, count: int, work: Path) -> Iterator[Case]:
    """A prepared set with one damaged file, its originals there, gone or damaged."""
    base = work / "set"
    base.mkdir()
    spec = small_cifar(base)
    expected = load_full(spec, base, progress=False)
    prepared = [path.relative_to(base) for path in base.rglob("prepared/**/*") if path.is_file()]
    originals = [Path(file.name) for file in spec.files]
    for _ in range(count):
        folder = copied(base, work / "damaged-set")
        where = rng.choice(("prepared", "prepared", "alone", "original"))
        done = damage(rng, folder / rng.choice(originals if where == "original" else prepared))
        if where == "alone":
            for name in originals:
                remove(folder / name)
        yield Case(f"{where}: {done}", lambda folder=folder: of_call(
            lambda: load_full(spec, folder, progress=False), REFUSED, same_arrays(expected)
        ))  # fmt: skip
