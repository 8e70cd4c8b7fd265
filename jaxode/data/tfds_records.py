"""The examples of a set that TFDS has prepared, as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from jaxode.checks import one_line
from jaxode.data import pictures
from jaxode.data.builders import quiet
from jaxode.data.regular import printable
from jaxode.data.specs import DataError

AT_ONCE = 64
"""Records that are read together."""


UNLABELLED = -1
"""What TFDS writes for a label that is not published."""


@dataclass(frozen=True)
class TfdsSet:
    """What a prepared set holds.

    Args:
      folder: of its version.
      image: name of the feature that is the image.
      label: name of the feature that is the class.
      class_names: in the order of the labels.
      side: pixels a side, if all images are squares of one size.
      channels: 1 for grey images, else 3.
      splits: names of the splits in TFDS by those here: `train` and `test`, or `whole` without a
        test split.
      counts: images of each split, by its name here.
    """

    folder: Path
    image: str
    label: str
    class_names: tuple[str, ...]
    side: int | None
    channels: int
    splits: dict[str, str]
    counts: dict[str, int]


def undecoded(builder: Any) -> dict[str, Any]:
    """Every image as the bytes of its file."""
    return {
        name: tfds.decode.SkipDecoding()
        for name, kind in builder.info.features.items()
        if isinstance(kind, tfds.features.Image)
    }


def read_records(builder: Any, source: Any, places: range) -> list[Any]:
    """Examples of a split. Raises DataError, whatever a reader meets in damaged bytes."""
    try:
        return source.__getitems__(list(places))
    except MemoryError:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {one_line(error)}"
        raise DataError(f"{printable(builder.data_dir)} cannot be read: {reason}") from error


def read_split(
    builder: Any, found: TfdsSet, split: str, side: int, progress: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Images [N, side, side, C] and labels [N] of a split. Raises DataError."""
    from tqdm import tqdm

    name, count = found.splits[split], found.counts[split]
    images = np.empty((count, side, side, found.channels), np.uint8)
    labels = np.empty(count, np.int32)
    hidden = None if progress else True
    with quiet(), tqdm(total=count, desc=f"reading {name}", disable=hidden) as bar:
        source = builder.as_data_source(name, decoders=undecoded(builder))
        for start in range(0, count, AT_ONCE):
            places = range(start, min(start + AT_ONCE, count))
            for place, record in zip(places, read_records(builder, source, places), strict=True):
                where = f"{printable(found.folder)}: example {place} of {name}"
                images[place] = _image(where, record[found.image], side, found.channels)
                labels[place] = _label(where, int(record[found.label]), found)
            bar.update(len(places))
    return images, labels


def _image(where: str, contents: bytes, side: int, channels: int) -> np.ndarray:
    try:
        return pictures.square(contents, side, channels)
    except pictures.PictureError as error:
        raise DataError(f"{where} is no whole picture: {error}") from error


def _label(where: str, label: int, found: TfdsSet) -> int:
    classes = len(found.class_names)
    if not 0 <= label < classes:
        raise DataError(f"{where} must have a label from 0 to {classes - 1}, got {label}")
    return label
