"""Series of a user's files: .ts, .npz, folders of either, PhysioNet's records."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from jaxode.checks import ConfigError, one_line, require
from jaxode.data import regular
from jaxode.data.series.array_files import read_array_file
from jaxode.data.series.folder import read_folder
from jaxode.data.series.padded import PaddedSeries
from jaxode.data.series.physionet import padded_records
from jaxode.data.series.physionet_records import parse_record
from jaxode.data.series.record_files import MOST_RECORD, RECORD, record_files
from jaxode.data.series.ts_files import TEST, read_ts

ARCHIVES = (".tar.xz", ".tar.gz", ".tgz", ".tar")


def read_series(path: Path, quantisation: float | None = None) -> PaddedSeries:
    r"""The series of a file or a folder, with labels where it has some.

    Args:
      path: a .ts file of the UEA archive; an .npz file with the arrays of `read_folder`; a folder
        with a pair of either, of which the test series are read; a record NUMBER.txt of PhysioNet's
        Challenge 2012, or a folder or tar archive of such records.
      quantisation: hours to which the times of PhysioNet's records are rounded; None for a model of
        other series, which reads none.

    Raises:
      ConfigError: it cannot be read, or is none of these.
      DataError: it is malformed.

    Example:
      >>> import tempfile
      >>> from pathlib import Path
      >>> from jaxode.data.series.reading import read_series
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     path = Path(folder, "7.txt")
      ...     _ = path.write_text("Time,Parameter,Value\n00:00,RecordID,7\n01:02,HR,80\n")
      ...     series = read_series(path, quantisation=0.1)
      >>> series.times.tolist(), series.record_names
      ([[0.0, 1.0]], ('7',))
    """
    name = path.name
    if name.endswith(".ts"):
        return read_ts(path)
    if name.endswith(".npz"):
        return read_array_file(path)
    if RECORD.fullmatch(name) or name.endswith(ARCHIVES):
        return _records(path, quantisation)
    try:
        names = sorted(each.name for each in path.iterdir())
    except NotADirectoryError as error:
        raise ConfigError(f"{path} must be a .ts, .npz or .txt file, or a folder") from error
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {one_line(error)}") from error
    if any(RECORD.fullmatch(each) for each in names):
        return _records(path, quantisation)
    if not any(each.endswith(TEST) or each == "test.npz" for each in names):
        raise ConfigError(f"{path} must hold NAME{TEST}, test.npz or records such as 132539.txt")
    return read_folder(path).test


def _records(path: Path, quantisation: float | None) -> PaddedSeries:
    wanted = "of series as the model was trained with: it was trained with no PhysioNet records"
    require(quantisation is not None, "path", str(path), wanted)
    assert quantisation is not None
    single = RECORD.fullmatch(path.name)
    if single is None:
        found = record_files(path)
    else:
        try:
            found = {int(single[1]): regular.contents(path, MOST_RECORD)}
        except OSError as error:
            raise ConfigError(f"cannot read {path}: {one_line(error)}") from error
    records = {
        number: parse_record(content, number, f"{path}, {number}.txt")
        for number, content in found.items()
    }
    series = padded_records(records, [0] * len(records), quantisation)
    return replace(series, labels=None, class_names=())
