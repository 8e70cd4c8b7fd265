"""Time series as arrays in train.npz and test.npz; a problem is named by file, array and series."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxode.checks import ConfigError, closest, one_line, shown
from jaxode.data.series.npz import read_npz
from jaxode.data.series.padded import PaddedSeries
from jaxode.data.series.padding import pad
from jaxode.data.series.splits import SeriesSplits
from jaxode.data.specs import DataError

SPLITS = ("train", "test")

KINDS = {
    "times": "fiu",
    "values": "fiu",
    "mask": "biuf",
    "labels": "iubU",
    "channels": "U",
    "class_names": "U",
}
"""The arrays that a file may hold, and NumPy's letters for their types."""

WORDS = {"f": "numbers", "U": "words", "i": "whole numbers", "b": "booleans"}

MOST_BYTES = 2**33
"""Of all arrays of a file."""


class _File(NamedTuple):
    path: Path
    arrays: dict[str, np.ndarray]


def read_arrays(folder: Path) -> SeriesSplits:
    """The series of train.npz and test.npz, as `read_folder` describes them.

    Args:
      folder: of the two files.

    Raises:
      ConfigError: a file cannot be read.
      DataError: whatever is wrong with the contents.
    """
    train, test = (_file(folder / f"{name}.npz") for name in SPLITS)
    if ("labels" in train.arrays) != ("labels" in test.arrays):
        raise DataError(f"{folder}: both files must have labels, or neither")
    shared = {name: _shared(folder, name, train, test) for name in ("channels", "class_names")}
    parts = [_series(file, shared["channels"]) for file in (train, test)]
    if len(parts[0].channels) != len(parts[1].channels):
        counts = " and ".join(str(len(part.channels)) for part in parts)
        raise DataError(f"{folder}: both files must have the same channels, found {counts}")
    if "labels" not in train.arrays:
        return SeriesSplits(*parts)
    names = shared["class_names"] or _union(folder, train, test)
    return SeriesSplits(
        *(
            _labelled(part, file, names, given=bool(shared["class_names"]))
            for part, file in zip(parts, (train, test), strict=True)
        )
    )


def read_array_file(path: Path) -> PaddedSeries:
    """The series of one .npz file with the arrays of `read_folder`.

    Args:
      path: of the file; labels that are words are in the order of `class_names`, or sorted.

    Raises:
      ConfigError: it cannot be read.
      DataError: whatever is wrong with its contents.
    """
    file = _file(path)
    names = {name: _shared(path, name, file) for name in ("channels", "class_names")}
    series = _series(file, names["channels"])
    if "labels" not in file.arrays:
        return series
    classes = names["class_names"] or _union(path, file)
    return _labelled(series, file, classes, given=bool(names["class_names"]))


def _file(path: Path) -> _File:
    try:
        arrays = read_npz(path, MOST_BYTES)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {one_line(error)}") from error
    for name, array in arrays.items():
        if name not in KINDS:
            close = closest(name, KINDS)
            hint = f": did you mean {close}?" if close else f"; known are {', '.join(KINDS)}"
            raise DataError(f"{path}: unknown array {shown(name)}{hint}")
        if array.dtype.kind not in KINDS[name]:
            wanted = WORDS[KINDS[name][0]]
            raise DataError(f"{path}: {name} must be {wanted}, got {array.dtype}")
    missing = [name for name in ("times", "values") if name not in arrays]
    if missing:
        raise DataError(f"{path} must hold times and values: no {missing[0]}")
    values = arrays["values"]
    if values.ndim != 3 or 0 in values.shape:
        raise DataError(f"{path}: values must be [N, T, D], got shape {values.shape}")
    if "labels" in arrays and arrays["labels"].shape != values.shape[:1]:
        found = arrays["labels"].shape
        raise DataError(f"{path}: labels must be one for each of {len(values)} series, got {found}")
    return _File(path, arrays)


def _shared(folder: Path, name: str, *files: _File) -> tuple[str, ...]:
    """Names that the files give, which must agree; empty where neither has them."""
    given = [file.arrays[name].ravel().tolist() for file in files if name in file.arrays]
    if any(names != given[0] for names in given):
        raise DataError(f"{folder}: {name} must be the same in both files")
    return tuple(given[0]) if given else ()


def _series(file: _File, channels: tuple[str, ...]) -> PaddedSeries:
    path, arrays = file
    values = arrays["values"].astype(np.float64)
    count, points, width = values.shape
    times = arrays["times"].astype(np.float64)
    if times.shape not in ((points,), (count, points)):
        wanted = f"[{count}, {points}] or [{points}], as values are {list(values.shape)}"
        raise DataError(f"{path}: times must be {wanted}, got shape {times.shape}")
    if channels and len(channels) != width:
        raise DataError(f"{path}: channels must be {width} words, got {len(channels)}")
    times = np.broadcast_to(times, (count, points))
    lengths = _lengths(path, times)
    mask = _mask(file)
    padding = np.arange(points) >= lengths[:, None]
    late = (padding[..., None] & mask).any((1, 2)) if "mask" in arrays else np.zeros(count, bool)
    if late.any():
        row = int(np.flatnonzero(late)[0])
        raise DataError(f"{path}: series {row}: times must rise strictly where mask is true")
    records = [
        (times[k, :length], values[k, :length], mask[k, :length])
        for k, length in enumerate(lengths)
    ]
    try:
        return pad(records, channels=channels)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def _lengths(path: Path, times: Float[np.ndarray, "N T"]) -> Int[np.ndarray, " N"]:
    """Points of each series: without NaN at its end and without repetitions of its last time."""
    missing = np.isnan(times)
    if missing.all(1).any():
        row = int(np.flatnonzero(missing.all(1))[0])
        raise DataError(f"{path}: series {row}: no time but NaN")
    points = times.shape[1]
    end = points - 1 - np.argmin(missing[:, ::-1], axis=1)  # the last time that is a number
    last = np.take_along_axis(times, end[:, None], axis=1)
    repeated = (times == last) | (np.arange(points) > end[:, None])
    at_end = np.logical_and.accumulate(repeated[:, ::-1], axis=1).sum(1)
    return points - at_end + 1


def _mask(file: _File) -> Bool[np.ndarray, "N T D"]:
    path, arrays = file
    values, mask = arrays["values"], arrays.get("mask")
    if mask is None:
        return ~np.isnan(values)
    if not np.isin(mask, (0, 1)).all():
        raise DataError(f"{path}: mask must be true or false, or 0 and 1")
    if mask.shape not in (values.shape, values.shape[:2]):
        wanted = f"{list(values.shape)} or {list(values.shape[:2])}"
        raise DataError(f"{path}: mask must be {wanted}, got shape {mask.shape}")
    mask = mask.astype(bool)
    return np.broadcast_to(mask if mask.ndim == 3 else mask[..., None], values.shape)


def _union(folder: Path, *files: _File) -> tuple[str, ...]:
    """The labels of both files, each once, sorted."""
    labels = [file.arrays["labels"] for file in files]
    if len({each.dtype.kind == "U" for each in labels}) > 1:
        raise DataError(f"{folder}: labels must be words in both files, or numbers in both")
    return tuple(str(label) for label in np.unique(np.concatenate(labels)))


def _labelled(
    series: PaddedSeries, file: _File, names: tuple[str, ...], *, given: bool
) -> PaddedSeries:
    """The series with classes; `given` says that labels which are numbers count class names."""
    labels = file.arrays["labels"]
    if labels.dtype.kind != "U" and given:
        wrong = (labels < 0) | (labels >= len(names))
        index = np.where(wrong, 0, labels).astype(np.int32)
    else:
        places = {name: place for place, name in enumerate(names)}
        found = [places.get(str(label), -1) for label in labels]
        wrong = np.array(found) < 0
        index = np.array(found, np.int32)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise DataError(
            f"{file.path}: series {row}: the label must be one of class_names or its number, got"
            f" {shown(labels[row].item())}"
        )
    try:
        return replace(series, labels=index, class_names=names)
    except DataError as error:
        raise DataError(f"{file.path}: {error}") from None
