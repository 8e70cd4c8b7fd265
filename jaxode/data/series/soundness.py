"""Whether padded series are what they must be; the first wrong series is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool

from jaxode.data.specs import DataError

if TYPE_CHECKING:
    from jaxode.data.series.padded import PaddedSeries


def check(series: PaddedSeries) -> None:
    """Raise DataError unless shapes, types, times, values and labels are as documented."""
    if series.times.ndim != 2 or 0 in series.times.shape:
        raise DataError(f"times must be [N, T] with N, T ≥ 1, got shape {series.times.shape}")
    count, points = series.times.shape
    channels = len(series.channels)
    arrays = [
        ("times", series.times, np.float32, (count, points)),
        ("values", series.values, np.float32, (count, points, channels)),
        ("mask", series.mask, np.bool_, (count, points, channels)),
        ("lengths", series.lengths, np.int32, (count,)),
    ]
    if series.labels is not None:
        arrays.append(("labels", series.labels, np.int32, (count,)))
    for name, array, dtype, shape in arrays:
        if array.dtype != dtype or array.shape != shape:
            wanted = f"{np.dtype(dtype)} {list(shape)}"
            raise DataError(f"{name} must be {wanted}, got {array.dtype} {list(array.shape)}")
    if not channels:
        raise DataError("there must be at least one channel")
    _check_points(series)
    _check_names(series)


def _check_points(series: PaddedSeries) -> None:
    lengths = series.lengths[:, None]
    _refuse((lengths < 1) | (lengths > series.points), series, f"length not 1 to {series.points}")
    place = np.arange(series.points)
    _refuse(~np.isfinite(series.times), series, "a time is not finite")
    steps = np.diff(series.times, axis=1)
    _refuse((steps <= 0) & (place[1:] < lengths), series, "times do not rise strictly")
    _refuse((steps != 0) & (place[1:] >= lengths), series, "padding does not repeat the last time")
    padding = (place >= lengths)[..., None]
    _refuse(series.mask & padding, series, "padding is marked as observed")
    _refuse(~np.isfinite(series.values), series, "a value is not finite")
    _refuse((series.values != 0) & ~series.mask, series, "a value that was not observed is not 0")


def _check_names(series: PaddedSeries) -> None:
    if series.record_names and len(series.record_names) != len(series):
        found = len(series.record_names)
        raise DataError(f"record_names must be {len(series)} names or none, got {found}")
    classes = len(series.class_names)
    if (series.labels is None) != (classes == 0):
        raise DataError("labels and class_names must both be given, or neither")
    if len(set(series.class_names)) != classes:
        raise DataError(f"class_names must differ, got {', '.join(series.class_names)[:200]}")
    if series.labels is not None:
        wrong = (series.labels < 0) | (series.labels >= classes)
        _refuse(wrong[:, None], series, f"label not from 0 to {classes - 1}")


def _refuse(wrong: Bool[np.ndarray, "N ..."], series: PaddedSeries, problem: str) -> None:
    if wrong.any():
        row = int(np.flatnonzero(wrong.reshape(len(wrong), -1).any(1))[0])
        name = f" ({series.record_names[row]})" if row < len(series.record_names) else ""
        raise DataError(f"series {row}{name}: {problem}")
