"""UCI's Character Trajectories: the pen's velocity in x and y and its force, of 20 letters.

Source of the data: Williams, Toussaint and Storkey 2006; of their use, Kidger et al. 2020, section
4.1.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from jaxode.checks import ConfigError, one_line, require_choice
from jaxode.data.series.npz import read_npz
from jaxode.data.series.padded import PaddedSeries
from jaxode.data.series.padding import pad
from jaxode.data.specs import DataError

CHANNELS = ("velocity x", "velocity y", "force")

TIMES = ("unit", "index")

MOST_BYTES = 2**26
"""Of all arrays; those of the labelled half have 3 MB."""


def read_characters(path: Path, times: str = "unit") -> PaddedSeries:
    """The labelled letters, sampled at 200 Hz: 109 to 205 points each.

    Args:
      path: labelled.npz, with arrays `values` [ΣL, 3] of all letters one after the other, `lengths`
        [N], `labels` [N] from 0 and `key`, the letters in the order of the labels.
      times: "index" for 0, 1, 2 and so on; "unit" for the same divided by the longest letter's
        last, so that times are from 0 to 1 and a letter that took longer ends later.

    Returns:
      The series.

    Raises:
      ConfigError: the file cannot be read, or another word for `times`.
      DataError: arrays that are missing or do not fit together.

    Example:
      >>> import tempfile
      >>> from pathlib import Path
      >>> import numpy as np
      >>> from jaxode.data.series import read_characters
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     path = Path(folder, "labelled.npz")
      ...     np.savez(path, values=np.ones((5, 3)), lengths=[2, 3], labels=[1, 0], key=["a", "b"])
      ...     series = read_characters(path)
      >>> series.times.tolist(), series.class_names
      ([[0.0, 0.5, 0.5], [0.0, 0.5, 1.0]], ('a', 'b'))
    """
    require_choice("times", times, TIMES)
    try:
        arrays = read_npz(path, MOST_BYTES)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {one_line(error)}") from error
    missing = [name for name in ("values", "lengths", "labels", "key") if name not in arrays]
    if missing:
        raise DataError(f"{path} must hold values, lengths, labels and key: no {missing[0]}")
    values, lengths, key = arrays["values"], arrays["lengths"], arrays["key"]
    if values.dtype.kind not in "fiu" or values.ndim != 2 or values.shape[1] != len(CHANNELS):
        raise DataError(f"{path}: values must be numbers [K, 3], got {values.dtype} {values.shape}")
    if lengths.dtype.kind not in "iu" or lengths.ndim != 1 or not len(lengths) or lengths.min() < 1:
        raise DataError(f"{path}: lengths must be whole numbers [N] of 1 or more")
    if lengths.max() > len(values) or lengths.sum() != len(values):  # a sum of huge ones overflows
        raise DataError(f"{path}: lengths must add up to the number of values, {len(values)}")
    if key.dtype.kind != "U" or key.ndim != 1:
        raise DataError(f"{path}: key must be letters, got {key.dtype} {key.shape}")
    parts = np.split(values, np.cumsum(lengths)[:-1])
    records = [(np.arange(len(part)), part) for part in parts]
    names = tuple(str(letter) for letter in key)
    try:
        series = pad(records, arrays["labels"], channels=CHANNELS, class_names=names)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    return series.times_divided(max(1, series.points - 1)) if times == "unit" else series
