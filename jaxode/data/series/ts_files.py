"""The UEA and UCR archives' .ts files: classified series of one or more channels.

A series is a line: its dimensions, between colons, then its class. A dimension is its values,
between commas, or pairs (time,value) where the header says @timestamps true; "?" is a missing one.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxode.checks import ConfigError, one_line, shown
from jaxode.data.series.padded import PaddedSeries
from jaxode.data.series.padding import pad
from jaxode.data.series.splits import SeriesSplits
from jaxode.data.series.ts_header import Header, read_header
from jaxode.data.specs import DataError
from jaxode.data.text_lines import lines, number

MISSING = ("?", "NaN", "nan")

TRAIN, TEST = "_TRAIN.ts", "_TEST.ts"


class _Series(NamedTuple):
    times: np.ndarray
    values: np.ndarray
    mask: np.ndarray
    label: int | None


def read_ts(path: Path) -> PaddedSeries:
    r"""The series of a .ts file.

    Without time-stamps the times are 0, 1, 2 and so on. With them, the times of a series are those
    of all its dimensions, and what a dimension lacks was not observed.

    Args:
      path: of the file.

    Returns:
      The series, with classes in the order of the header; channels are named "0", "1" and so on.

    Raises:
      ConfigError: the file cannot be read.
      DataError: a wrong header or a malformed series; named by its line.

    Example:
      >>> import tempfile
      >>> from pathlib import Path
      >>> from jaxode.data.series import read_ts
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     path = Path(folder, "steps.ts")
      ...     text = "@classLabel true up down\n@data\n1,?,2:3,4,5:up\n2,1:2,0:down\n"
      ...     _ = path.write_text(text)
      ...     series = read_ts(path)
      >>> series.lengths.tolist(), series.labels.tolist(), series.mask[0].T.tolist()
      ([3, 2], [0, 1], [[True, False, True], [True, True, True]])
    """
    rows = lines(path)
    header = read_header(path, rows)
    found: list[_Series] = []
    for line_number, line in rows:
        if line and not line.startswith("#"):
            try:
                series = _series(line, header)
                _same_form(series, found[0] if found else None, header)
            except ValueError as error:
                raise DataError(f"{path}, line {line_number}: {one_line(error)}") from None
            found.append(series)
    if not found:
        raise DataError(f"{path}: no series follow @data")
    labels = [series.label for series in found] if header.class_names else None
    try:
        return pad([series[:3] for series in found], labels, class_names=header.class_names)
    except DataError as error:  # numbers that float32 cannot hold or tell apart
        raise DataError(f"{path}: {error}") from None


def read_ts_pair(folder: Path) -> SeriesSplits:
    r"""The series of NAME_TRAIN.ts and NAME_TEST.ts, the only such pair in a folder.

    Args:
      folder: that holds them.

    Returns:
      Both, with the classes in the order of the first header.

    Raises:
      ConfigError: the folder holds no pair or several, or cannot be read.
      DataError: a malformed file, or files of different channels or classes.

    Example:
      >>> import tempfile
      >>> from pathlib import Path
      >>> from jaxode.data.series import read_ts_pair
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     text = "@classLabel true a b\n@data\n1,2:a\n3,1:b\n"
      ...     for name in ("Steps_TRAIN.ts", "Steps_TEST.ts"):
      ...         _ = Path(folder, name).write_text(text)
      ...     splits = read_ts_pair(Path(folder))
      >>> len(splits.train), splits.test.class_names
      (2, ('a', 'b'))
    """
    try:
        names = sorted(path.name for path in folder.iterdir())
    except OSError as error:
        raise ConfigError(f"cannot read {folder}: {one_line(error)}") from error
    found = [name.removesuffix(TRAIN) for name in names if name.endswith(TRAIN)]
    pairs = [name for name in found if name + TEST in names]
    if len(pairs) != 1:
        what = ", ".join(pairs[:5]) if pairs else "no pair"
        raise ConfigError(f"{folder} must hold one pair NAME{TRAIN} and NAME{TEST}, found {what}")
    train, test = (read_ts(folder / (pairs[0] + ending)) for ending in (TRAIN, TEST))
    if train.channels != test.channels:
        counts = f"{len(train.channels)} and {len(test.channels)}"
        raise DataError(f"{folder}: the two files must have the same channels, found {counts}")
    if set(train.class_names) != set(test.class_names):
        raise DataError(f"{folder}: the two files must have the same classes")
    return SeriesSplits(train, _in_order(test, train.class_names))


def _in_order(series: PaddedSeries, names: tuple[str, ...]) -> PaddedSeries:
    """The series with their labels in the order of other names of the same classes."""
    if series.labels is None:
        return series
    new = np.array([names.index(name) for name in series.class_names], np.int32)
    return replace(series, labels=new[series.labels], class_names=names)


def _series(line: str, header: Header) -> _Series:
    dimensions = line.split(":")
    label = None
    if header.class_names:
        name = dimensions.pop().strip()
        if name not in header.class_names or not dimensions:
            raise ValueError(f"the class must be one of the header's, got {shown(name)}")
        label = header.class_names.index(name)
    if header.timestamps:
        return _stamped(dimensions, label)
    columns = []
    for place, dimension in enumerate(dimensions, 1):
        columns.append([_value(word) for word in dimension.split(",")])
        if len(columns[-1]) != len(columns[0]):
            counts = f"{len(columns[-1])} values and the first {len(columns[0])}"
            raise ValueError(f"dimensions must be of one length, dimension {place} has {counts}")
    values = np.array(columns).T
    return _Series(np.arange(len(values)), values, np.isfinite(values), label)


def _stamped(dimensions: list[str], label: int | None) -> _Series:
    channels: list[dict[float, float]] = []
    for place, dimension in enumerate(dimensions, 1):
        pairs: dict[float, float] = {}
        channels.append(pairs)
        text = "".join(dimension.split())
        if text in ("", "()"):
            continue  # nothing of this channel was observed
        if not (text.startswith("(") and text.endswith(")")):
            raise ValueError(f"dimension {place} must be pairs (time,value), got {shown(text)}")
        last = -math.inf
        for pair in text[1:-1].split("),("):
            words = pair.split(",")
            if len(words) != 2:
                raise ValueError(f"dimension {place} must be pairs (time,value), got {shown(pair)}")
            time = number(words[0])
            if time <= last:
                raise ValueError(f"dimension {place}: times must rise, got {time:g} after {last:g}")
            pairs[time], last = _value(words[1]), time
    times = np.array(sorted(set().union(*channels)))
    if not len(times):
        raise ValueError("the series has no point")
    values = np.array([[pairs.get(time, math.nan) for pairs in channels] for time in times])
    return _Series(times, values, np.isfinite(values), label)


def _value(word: str) -> float:
    word = word.strip()
    return math.nan if word in MISSING else number(word)


def _same_form(series: _Series, first: _Series | None, header: Header) -> None:
    points, found = series.values.shape
    wanted = header.dimensions or (first.values.shape[1] if first else found)
    if found != wanted:
        raise ValueError(f"must have {wanted} dimensions, found {found}")
    length = header.length
    if header.equal_length and length is None and first is not None:
        length = len(first.values)
    if length is not None and points != length:
        raise ValueError(f"must have {length} points, found {points}")
