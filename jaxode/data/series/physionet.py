"""The PhysioNet Challenge 2012 as padded series, as Rubanova et al. 2019 prepare it.

Source: "Latent ODEs for Irregularly-Sampled Time Series" and its repository latent_ode
(`physionet.py`, `lib/parse_datasets.py`, `lib/utils.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from jaxode.checks import ConfigError, Range, require_choice, require_in, shown
from jaxode.data.series.padded import PaddedSeries
from jaxode.data.series.physionet_records import (
    HOURS,
    PARAMETERS,
    Rows,
    parse_record,
    read_outcomes,
)
from jaxode.data.series.record_files import record_files
from jaxode.data.specs import DataError

CLASSES = ("survived", "died")

SETS = "abc"

SCALINGS = ("published", "range", "none")

ENDINGS = (".tar.xz", ".tar.gz", ".tgz", ".tar", "")
"""Of "set-a"; without one, a folder."""


def read_physionet(
    folder: Path,
    sets: str = "a",
    *,
    quantisation: float = 0.1,
    scaling: str = "published",
    unit_time: bool = False,
) -> PaddedSeries:
    r"""Records of intensive-care stays: 41 parameters over 48 hours, and whether the patient died.

    A record's times are its first, 0, and every other at which something was measured, rounded to a
    multiple of the quantisation; what was measured repeatedly at one rounded time is averaged. The
    value -1 of an unknown descriptor is kept as a value, as it is in the source. Records stand in
    the order of their numbers; in the source, in the order in which a file system lists them, so
    that its very split into training and test is not to be had.

    Args:
      folder: holds set-a.tar.xz, set-a.tar.gz, set-a.tar or the folder set-a of .txt files, and
        Outcomes-a.txt; or the same of other sets.
      sets: "a", or several, as "ab": 4,000 records each.
      quantisation: hours, 0.001 to 48; 0.1 is the source's default, 0.016, a minute, the paper's.
      scaling: "published": (x - min) / max, with extremes of each parameter over all records read,
        a maximum of 0 dividing by 1; "range": (x - min) / (max - min); "none".
      unit_time: whether times are divided by 48 hours.

    Returns:
      The series, padded to the longest; labels are 1 for In-hospital_death.

    Raises:
      ConfigError: a setting out of range, or a missing file.
      DataError: a malformed line, named by file and number; a damaged archive, a record without
        outcome.

    Example:
      >>> import tempfile
      >>> from pathlib import Path
      >>> from jaxode.data.series import read_physionet
      >>> record = "00:00,RecordID,7\n00:00,Age,54\n01:02,HR,80\n01:03,HR,90\n"
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     Path(folder, "set-a").mkdir()
      ...     _ = Path(folder, "set-a", "7.txt").write_text("Time,Parameter,Value\n" + record)
      ...     _ = Path(folder, "Outcomes-a.txt").write_text("RecordID,In-hospital_death\n7,1\n")
      ...     series = read_physionet(Path(folder), scaling="none")
      >>> heart_rate = series.channels.index("HR")
      >>> series.times.tolist(), series.values[0, 1, heart_rate].item(), series.labels.tolist()
      ([[0.0, 1.0]], 85.0, [1])
    """
    if not sets or set(sets) - set(SETS) or len(set(sets)) != len(sets):
        raise ConfigError(f"sets must be some of a, b and c, as 'ab', got {shown(sets)}")
    require_in("quantisation", quantisation, Range(0.001, HOURS), float)
    require_choice("scaling", scaling, SCALINGS)
    records: dict[int, Rows] = {}
    died: dict[int, int] = {}
    for name in sets:
        source, outcomes = _files(folder, name)
        died |= read_outcomes(outcomes)
        for number, content in record_files(source).items():
            if number not in died:
                raise DataError(f"{outcomes} has no outcome of record {number}")
            if number in records:
                raise DataError(f"{source} holds record {number}, as another set does")
            records[number] = parse_record(content, number, f"{source}, {number}.txt")
    series = padded_records(records, [died[number] for number in records], quantisation)
    if scaling != "none":
        _, _, minimum, maximum, _ = series.observed_statistics()
        if scaling == "published":
            series = series.affine(minimum, np.where(maximum == 0, 1.0, maximum))
        else:
            series = series.scaled(minimum, maximum)
    return series.times_divided(HOURS) if unit_time else series


def _files(folder: Path, name: str) -> tuple[Path, Path]:
    found = [folder / f"set-{name}{ending}" for ending in ENDINGS]
    source = next((path for path in found if path.exists()), None)
    if source is None:
        raise ConfigError(f"{folder} must hold set-{name}.tar.xz, .tar.gz, .tar or set-{name}")
    return source, folder / f"Outcomes-{name}.txt"


def padded_records(
    records: dict[int, Rows], labels: Sequence[int], quantisation: float
) -> PaddedSeries:
    """Measurements by record, at rounded times, as padded series in the parameters' own units.

    Args:
      records: by number.
      labels: of each, 1 for a patient who died.
      quantisation: hours.
    """
    # Every record starts with a point at 0; its measurement is of no parameter (-1).
    first = (np.zeros(1, np.int32), np.full(1, -1, np.int32), np.zeros(1))
    minutes, columns, values = (
        np.concatenate([part for rows in records.values() for part in (first[k], rows[k])])
        for k in range(3)
    )
    record = np.repeat(np.arange(len(records)), [1 + len(r.minutes) for r in records.values()])
    ticks = np.rint((minutes // 60 + minutes % 60 / 60) / quantisation)
    new = np.ones(len(record), bool)
    new[1:] = (np.diff(record) > 0) | (np.diff(ticks) > 0)
    point = np.cumsum(new) - 1  # over all records
    lengths = np.bincount(record[new]).astype(np.int32)
    place = point - (np.cumsum(lengths) - lengths)[record]
    shape = len(records), int(lengths.max())
    times = np.zeros(shape, np.float32)
    times[record[new], place[new]] = ticks[new] * quantisation
    times = np.maximum.accumulate(times, axis=1)  # padding is 0 and becomes the last time
    channels = len(PARAMETERS)
    mask = np.zeros((*shape, channels), bool)
    averages = np.zeros((*shape, channels), np.float32)
    seen = columns >= 0
    cells = ((record * shape[1] + place) * channels + columns)[seen]
    used, means = _means(cells, values[seen])
    averages.reshape(-1)[used], mask.reshape(-1)[used] = means, True
    names = tuple(map(str, records))
    died = np.array(labels, np.int32)
    return PaddedSeries(times, averages, mask, lengths, PARAMETERS, died, CLASSES, names)


def _means(
    cells: np.ndarray, values: Float[np.ndarray, " K"]
) -> tuple[np.ndarray, Float[np.ndarray, " C"]]:
    """Each cell once, and the mean of its values."""
    used, which = np.unique(cells, return_inverse=True)
    return used, np.bincount(which, values) / np.bincount(which)
