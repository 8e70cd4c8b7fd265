"""Radar images of ships and icebergs, from the `train.json` of Kaggle's Statoil/C-CORE classifier challenge.

The file has some 200 MB and is read as a stream, one row after the other; its text is never held.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import ijson
import numpy as np

from jaxode.data.specs import SPECS, DataError

SIDE = 75
PIXELS = SIDE * SIDE
BANDS = ("band_1", "band_2")
ANGLE, LABEL = "inc_angle", "is_iceberg"
UNKNOWN_ANGLE = "na"

WANTED = f"get it from {SPECS['iceberg'].source}"


def read_bands(path: str | os.PathLike[str]) -> tuple[np.ndarray, np.ndarray]:
    """All images, float32 [N, 75, 75, 3], and labels, int32 [N], 1 for an iceberg, in the order of the file.

    Planes are band_1 and band_2 in dB and the incidence angle in degrees, the same in all pixels, NaN where it is
    unknown. Raises DataError if the file cannot be read, or naming the first row, from 0, that is not as it should be.
    """
    path = Path(path)
    pixels, labels = bytearray(), []  # a bytearray grows in place; of a list of arrays, a second copy would be made
    try:
        with path.open("rb") as file:
            for index, row in enumerate(_rows(file, path.name)):
                image, label = _parsed(row, f"row {index} of {path.name}")
                pixels += image.tobytes()
                labels.append(label)
    except FileNotFoundError:
        raise DataError(f"there is no {path}: {WANTED}") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    if not labels:
        raise DataError(f"{path.name} holds an empty list: {WANTED}")
    return np.frombuffer(pixels, np.float32).reshape(-1, SIDE, SIDE, 3), np.array(labels, np.int32)


def _rows(file: BinaryIO, name: str) -> Iterator[Any]:
    """The elements of the JSON list in a file, one after the other."""
    start = file.read(64).lstrip()[:6]  # ijson finds no rows in what is no list, and nothing wrong with it
    if start and not start.startswith(b"["):
        raise DataError(f"{name} must be a JSON list, but begins with {start!r}: {WANTED}")
    file.seek(0)
    rows = ijson.items(file, "item", use_float=True)
    count = 0
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except ijson.JSONError as error:
            after = f"after row {count - 1}" if count else "before the end of row 0"
            raise DataError(f"{name} is truncated or no valid JSON {after}: {_first_line(error)}") from None
        yield row
        count += 1


def _first_line(error: Exception) -> str:
    """What a parser says, without the lines in which it shows the place; yajl says some of it in bytes."""
    text = error.args[0] if error.args else ""
    text = text.decode(errors="replace") if isinstance(text, bytes) else str(text)
    return text.strip().partition("\n")[0]


def _parsed(row: Any, name: str) -> tuple[np.ndarray, int]:
    """Image float32 [75, 75, 3] and label of a row."""
    if not isinstance(row, dict):
        raise DataError(f"{name} must be an object, found {_shown(row)}")
    missing = [key for key in (*BANDS, ANGLE, LABEL) if key not in row]
    if missing:
        kaggle = ": Kaggle's test.json has no labels, train.json is needed" if missing == [LABEL] else ""
        raise DataError(f"{name} has no {', '.join(missing)}{kaggle}")
    image = np.empty((SIDE, SIDE, 3), np.float32)
    for plane, key in enumerate(BANDS):
        image[..., plane] = _band(row[key], f"{key} of {name}").reshape(SIDE, SIDE)
    angle, label = row[ANGLE], row[LABEL]
    if angle != UNKNOWN_ANGLE and not (_number(angle) and 0 <= angle <= 90):
        allowed = f'a number of degrees from 0 to 90 or "{UNKNOWN_ANGLE}"'
        raise DataError(f"{ANGLE} of {name} must be {allowed}, found {_shown(angle)}")
    image[..., 2] = math.nan if angle == UNKNOWN_ANGLE else angle
    if type(label) is not int or label not in (0, 1):
        raise DataError(f"{LABEL} of {name} must be 0 or 1, found {_shown(label)}")
    return image, label


def _band(values: Any, name: str) -> np.ndarray:
    if not isinstance(values, list) or len(values) != PIXELS:
        found = f"a list of {len(values)}" if isinstance(values, list) else _shown(values)
        raise DataError(f"{name} must be a list of {PIXELS} numbers, found {found}")
    if not set(map(type, values)) <= {int, float}:  # numpy would take true for 1
        place = next(i for i, value in enumerate(values) if not _number(value))
        raise DataError(f"element {place} of {name} must be a number, found {_shown(values[place])}")
    band = np.array(values, np.float64)
    within = np.abs(band) <= np.finfo(np.float32).max
    if not within.all():
        place = int(np.argmin(within))
        raise DataError(f"element {place} of {name} must be finite in float32, found {_shown(values[place])}")
    return band


def _number(value: Any) -> bool:
    return type(value) in (int, float)


def _shown(value: Any) -> str:
    """A value as it stands in the file, briefly."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list | dict):
        return f"{'a list' if isinstance(value, list) else 'an object'} of {len(value)}"
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
