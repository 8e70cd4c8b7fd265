"""Hostile JSON of radar images: damaged, or well formed and not what it should be.

What is accepted is compared with what Python's own JSON reader makes of the file.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from jaxode.data import radar_json
from jaxode.data.specs import DataError
from scripts.fuzzing.damage import BYTES, DEEP, remove, replaced
from scripts.fuzzing.verdict import Case, of_call


def rows() -> list[dict[str, Any]]:
    """Two rows of the radar images' file."""
    numbers = np.random.default_rng(2).normal(-20, 3, (2, 2, radar_json.PIXELS)).round(3)
    return [
        {"id": f"row-{k}", "band_1": numbers[k, 0].tolist(), "band_2": numbers[k, 1].tolist(),
         "inc_angle": ("na", 38.5)[k], "is_iceberg": k}
        for k in range(2)
    ]  # fmt: skip


def hostile_rows(rng: Random, path: Path) -> str:
    """JSON that is well formed, or nearly, and not what it should be."""
    found = rows()
    row, key = rng.choice(found), rng.choice(("band_1", "band_2", "inc_angle", "is_iceberg", "id"))
    odd = rng.choice(
        (
            None,
            True,
            "12",
            "na",
            math.nan,
            math.inf,
            1e39,
            -1e308,
            2**70,
            [],
            {},
            [1],
            [[]],
            "x" * 100_000,
            1,
            0.0,
            91,
        )
    )
    way = rng.choice(("value", "element", "gone", "twice", "raw", "deep"))
    if way == "value":
        row[key] = odd
    elif way == "element":
        row[rng.choice(radar_json.BANDS)][rng.randrange(radar_json.PIXELS)] = odd
    elif way == "gone":
        del row[key]
    text = json.dumps(found)
    if way == "twice":
        text = text.replace('{"id"', f'{{"{key}": {json.dumps(odd)}, "id"', 1)
    elif way == "raw":
        text = text.replace(
            "-2", rng.choice(("NaN", "1e999", "1" * 100_000, "-", "0x1", "01", "1e-99999")), 1
        )
    elif way == "deep":
        text = text.replace("[-", "[" * DEEP + "[-", 1)
    path.write_text(text, encoding="utf-8")
    return f"{way} at {key}: {str(odd)[:20]!r}"


def same_rows(path: Path) -> Callable[[Any], str]:
    """Compares what was read with what Python's own JSON reader makes of the file."""

    def right(found: tuple[np.ndarray, np.ndarray]) -> str:
        try:
            expected = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            return f"accepted although it is no JSON: {error}"
        images, labels = found
        for image, label, row in zip(images, labels, expected, strict=True):
            planes = np.array([row["band_1"], row["band_2"]], np.float32).reshape(
                2, radar_json.SIDE, radar_json.SIDE
            )
            angle = math.nan if row["inc_angle"] == radar_json.UNKNOWN_ANGLE else row["inc_angle"]
            good = (
                np.array_equal(np.moveaxis(image[..., :2], 2, 0), planes)
                and row["is_iceberg"] == label
            )
            if not good or not np.array_equal(image[0, 0, 2], np.float32(angle), equal_nan=True):
                return "other numbers than the file holds"
        return ""

    return right


def cases(rng: Random, count: int, work: Path) -> Iterator[Case]:
    """The radar images' JSON."""
    path, whole = work / "train.json", json.dumps(rows())
    for _ in range(count):
        remove(path)
        if rng.random() < 0.5:
            done = hostile_rows(rng, path)
        else:
            path.write_text(whole, encoding="utf-8")
            done = (replaced if rng.random() < 0.15 else rng.choice(BYTES))(rng, path)
        yield Case(f"train.json: {done}", lambda: of_call(
            lambda: radar_json.read_radar_json(path), (DataError,), same_rows(path)
        ))  # fmt: skip
