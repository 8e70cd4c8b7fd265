"""Radar images of ships and icebergs, from Kaggle's Statoil/C-CORE challenge.

The file is `train.json`.

The file has some 200 MB and is read as a stream, one row after the other; its text is never held.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np

from jaxode.data import regular
from jaxode.data.json_rows import JSONRows, Scalar, shown
from jaxode.data.regular import printable
from jaxode.data.sources.iceberg import SOURCE
from jaxode.data.specs import DataError

SIDE = 75
PIXELS = SIDE * SIDE
BANDS = ("band_1", "band_2")
ANGLE, LABEL = "inc_angle", "is_iceberg"
UNKNOWN_ANGLE = "na"

WANTED = f"get it from {SOURCE}"

ANGLES = f'a number of degrees from 0 to 90 or "{UNKNOWN_ANGLE}"'
LABELS = "0 or 1"


def read_radar_json(path: str | os.PathLike[str]) -> tuple[np.ndarray, np.ndarray]:
    """All images, float32 [N, 75, 75, 3], and labels, int32 [N], in the order of the file.

    A label is 1 for an iceberg.

    Planes are band_1 and band_2 in dB and the incidence angle in degrees, the same in all pixels,
    NaN where it is unknown. Raises DataError if the file cannot be read, or naming the first row,
    from 0, that is not as it should be.
    """
    path = Path(path)
    name = printable(path.name)
    # A bytearray grows in place; of a list of arrays, a second copy would be made.
    pixels, labels = bytearray(), []
    try:
        with regular.opened(path) as file:
            rows = JSONRows(file, name, WANTED)
            for row in rows:
                image, label = _parsed(_values(rows), row)
                pixels += image.tobytes()
                labels.append(label)
    except FileNotFoundError:
        raise DataError(f"there is no {printable(path)}: {WANTED}") from None
    except OSError as error:
        raise DataError(f"{printable(path)} cannot be read: {error.strerror}") from error
    if not labels:
        raise DataError(f"{name} holds an empty list: {WANTED}")
    return np.frombuffer(pixels, np.float32).reshape(-1, SIDE, SIDE, 3), np.array(labels, np.int32)


def _values(rows: JSONRows) -> dict[str, Scalar | np.ndarray]:
    """What is used of the row that comes next: its bands as arrays, its angle and its label."""
    values: dict[str, Scalar | np.ndarray] = {}
    for key in rows.keys():  # noqa: SIM118  these are read from a file, not those of a mapping
        if key in BANDS:
            values[key] = _within_float32(rows.numbers(PIXELS), rows.place)
        elif key in (ANGLE, LABEL):
            values[key] = rows.scalar(ANGLES if key == ANGLE else LABELS)
        else:
            rows.skip()
    return values


def _parsed(row: dict[str, Scalar | np.ndarray], name: str) -> tuple[np.ndarray, int]:
    """Image float32 [75, 75, 3] and label of a row."""
    missing = [key for key in (*BANDS, ANGLE, LABEL) if key not in row]
    if missing:
        kaggle = (
            ": Kaggle's test.json has no labels, train.json is needed" if missing == [LABEL] else ""
        )
        raise DataError(f"{name} has no {', '.join(missing)}{kaggle}")
    image = np.empty((SIDE, SIDE, 3), np.float32)
    for plane, key in enumerate(BANDS):
        image[..., plane] = np.asarray(row[key]).reshape(SIDE, SIDE)
    angle, label = row[ANGLE], row[LABEL]
    if angle == UNKNOWN_ANGLE:
        angle = math.nan
    elif isinstance(angle, bool) or not (isinstance(angle, int | float) and 0 <= angle <= 90):
        raise DataError(f"{ANGLE} of {name} must be {ANGLES}, found {shown(angle)}")
    image[..., 2] = angle
    if type(label) is not int or label not in (0, 1):
        raise DataError(f"{LABEL} of {name} must be {LABELS}, found {shown(label)}")
    return image, label


def _within_float32(band: np.ndarray, name: str) -> np.ndarray:
    within = np.abs(band) <= np.finfo(np.float32).max
    if not within.all():
        place = int(np.argmin(within))
        found = shown(band[place].item())
        raise DataError(f"element {place} of {name} must be finite in float32, found {found}")
    return band
