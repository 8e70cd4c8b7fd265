"""Records of arrays, as they come from a file or a program, become padded series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from jaxode.data.series.padded import PaddedSeries
from jaxode.data.specs import DataError


def pad(
    records: Sequence[tuple],
    labels: object = None,
    *,
    channels: Sequence[str] = (),
    class_names: Sequence[str] = (),
    record_names: Sequence[str] = (),
) -> PaddedSeries:
    """Records of their own lengths, padded to the longest.

    Args:
      records: for each its times [L] and values [L, D], which may be followed by a mask [L, D]:
        true where the value was observed; without it, all are.
      labels: a class for each record, whole numbers from 0; None without.
      channels: names of the D channels; "0", "1" and so on without.
      class_names: in the order of the labels; numbers from 0 without.
      record_names: a name for each record.

    Returns:
      The series: float32, 0 where nothing was observed.

    Raises:
      DataError: times that do not rise strictly as float32, values that were observed and are not
        finite, shapes that do not fit; the record is named.

    Example:
      >>> from jaxode.data.series import pad
      >>> series = pad([([0, 1, 3], [[5], [0], [7]], [[True], [False], [True]]), ([2], [[1]])])
      >>> series.values[..., 0].tolist()
      [[5.0, 0.0, 7.0], [1.0, 0.0, 0.0]]
      >>> pad([([0, 2, 1], [[5], [6], [7]])])
      Traceback (most recent call last):
      jaxode.data.specs.DataError: series 0: times do not rise strictly
    """
    if not len(records):
        raise DataError("there must be at least one record")
    names = tuple(record_names)
    parts = []
    for row, record in enumerate(records):
        name = f" ({names[row]})" if row < len(names) else ""
        parts.append(_arrays(record, f"series {row}{name}"))
    width = parts[0][1].shape[1]
    for row, (_, values, _) in enumerate(parts):
        if values.shape[1] != width:
            raise DataError(f"series {row}: {values.shape[1]} channels, and series 0 has {width}")
    lengths = np.array([len(times) for times, _, _ in parts], np.int32)
    shape = (len(parts), int(lengths.max()))
    times = np.empty(shape, np.float32)
    values, mask = np.zeros((*shape, width), np.float32), np.zeros((*shape, width), bool)
    for row, (part_times, part_values, part_mask) in enumerate(parts):
        length = lengths[row]
        times[row, :length], times[row, length:] = part_times, part_times[-1]
        mask[row, :length] = part_mask
        values[row, :length] = np.where(part_mask, part_values, 0)
    classes = None if labels is None else _labels(labels, len(parts))
    if classes is not None and not class_names:
        class_names = [str(number) for number in range(int(classes.max()) + 1)]
    channels = tuple(channels) or tuple(str(number) for number in range(width))
    return PaddedSeries(times, values, mask, lengths, channels, classes, tuple(class_names), names)


def concatenate(parts: Sequence[PaddedSeries]) -> PaddedSeries:
    """All series of several, one part after the other, padded to the longest.

    Args:
      parts: of the same channels and classes.

    Raises:
      DataError: there is none, or channels or classes differ.

    Example:
      >>> from jaxode.data.series import concatenate, pad
      >>> one, other = pad([([0.0], [[1.0]])]), pad([([0.0, 2.0], [[1.0], [5.0]])])
      >>> concatenate([one, other]).times.tolist()
      [[0.0, 0.0], [0.0, 2.0]]
    """
    if not parts:
        raise DataError("there must be at least one part to concatenate")
    first = parts[0]
    for part in parts:
        if (part.channels, part.class_names) != (first.channels, first.class_names):
            raise DataError("parts to concatenate must have the same channels and classes")
    points = max(part.points for part in parts)
    parts = [part.padded_to(points) for part in parts]
    named = all(part.record_names for part in parts)
    names = ["times", "values", "mask", "lengths"] + ["labels"] * bool(first.class_names)
    arrays = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    records = tuple(name for part in parts for name in part.record_names) if named else ()
    return replace(first, **arrays, record_names=records)


def _arrays(record: tuple, where: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    if not isinstance(record, tuple) or len(record) not in (2, 3):
        raise DataError(f"{where}: must be times and values, and a mask where there is one")
    try:
        with np.errstate(over="ignore"):  # what float32 cannot hold is not finite, and refused
            times, values = (np.asarray(part, np.float64).astype(np.float32) for part in record[:2])
    except (TypeError, ValueError):
        raise DataError(f"{where}: times and values must be numbers") from None
    mask = np.ones(values.shape, bool) if len(record) == 2 else np.asarray(record[2])
    if times.ndim != 1 or len(times) < 1:
        raise DataError(f"{where}: times must be [L] with L ≥ 1, got shape {times.shape}")
    if values.ndim != 2 or len(values) != len(times) or values.shape[1] < 1:
        wanted = f"[{len(times)}, D], as there are {len(times)} times"
        raise DataError(f"{where}: values must be {wanted}, got shape {values.shape}")
    if mask.dtype != bool or mask.shape != values.shape:
        found = f"{mask.dtype} {mask.shape}"
        raise DataError(f"{where}: the mask must be bool {values.shape}, got {found}")
    return times, values, mask


def _labels(labels: object, count: int) -> np.ndarray:
    array = np.asarray(labels)
    if array.shape != (count,) or array.dtype.kind not in "iu":
        found = f"{array.dtype} {array.shape}"
        raise DataError(f"labels must be {count} whole numbers, one for each record, got {found}")
    if array.min() < 0 or array.max() >= 2**31:
        raise DataError(f"labels must be from 0, got {array.min()} to {array.max()}")
    return array.astype(np.int32)
