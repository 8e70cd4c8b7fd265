"""A user's folder of time series: a pair of .ts files, or arrays in train.npz and test.npz."""

from __future__ import annotations

from pathlib import Path

from jaxode.checks import ConfigError, one_line
from jaxode.data.series.array_files import SPLITS, read_arrays
from jaxode.data.series.splits import SeriesSplits
from jaxode.data.series.ts_files import read_ts_pair


def read_folder(folder: Path) -> SeriesSplits:
    """The series of a folder that holds NAME_TRAIN.ts and NAME_TEST.ts, or train.npz and test.npz.

    Arrays of both .npz files:

    - `times` [N, T], or [T] where all series have the same: rising strictly; what follows a
      series' end repeats its last time or is NaN.
    - `values` [N, T, D].
    - `mask` [N, T, D], or [N, T] of all channels: booleans, or 0 and 1. Without it, whatever is
      NaN was not observed.
    - `labels` [N]: whole numbers or words; both files have them, or neither has.
    - `channels` [D] and `class_names`: words, the same in both files. Without class names, the
      classes are the labels of both files, sorted; with them, labels are their numbers from 0, or
      words among them.

    Args:
      folder: of the files.

    Raises:
      ConfigError: the folder holds neither or both, or a file cannot be read.
      DataError: whatever is wrong with their contents; named by file, array and series.

    Example:
      >>> import tempfile
      >>> from pathlib import Path
      >>> import numpy as np
      >>> from jaxode.data.series import read_folder
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     for name in ("train.npz", "test.npz"):
      ...         values = np.ones((2, 3, 1))
      ...         np.savez(Path(folder, name), times=[0, 1, 2], values=values, labels=["no", "yes"])
      ...     splits = read_folder(Path(folder))
      >>> splits.train.values.shape, splits.train.class_names, splits.test.labels.tolist()
      ((2, 3, 1), ('no', 'yes'), [0, 1])
    """
    try:
        names = sorted(path.name for path in folder.iterdir())
    except OSError as error:
        raise ConfigError(f"cannot read {folder}: {one_line(error)}") from error
    stamped = any(name.endswith(".ts") for name in names)
    arrays = [f"{split}.npz" for split in SPLITS if f"{split}.npz" in names]
    if stamped and arrays:
        raise ConfigError(f"{folder} holds .ts files and {arrays[0]}: which of them is meant?")
    if stamped:
        return read_ts_pair(folder)
    if len(arrays) != len(SPLITS):
        missing = ", ".join(f"{split}.npz" for split in SPLITS if f"{split}.npz" not in arrays)
        other = "NAME_TRAIN.ts and NAME_TEST.ts"
        raise ConfigError(f"{folder} must hold train.npz and test.npz, or {other}: no {missing}")
    return read_arrays(folder)
