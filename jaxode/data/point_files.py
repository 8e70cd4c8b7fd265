"""Points of a user's files: .npy arrays, or tables of numbers as CSV."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float

from jaxode.bounded_files import read_bounded
from jaxode.checks import ConfigError, one_line
from jaxode.data.npy import array_of
from jaxode.data.specs import DataError

MOST_BYTES = 2**33
KINDS = "fiu"


def read_points(path: Path, dimensions: int) -> Float[np.ndarray, "N D"]:
    r"""Points [N, D] of a file, float64.

    Args:
      path: of an .npy file; or of a .csv file with a point a line, separated by commas or
        semicolons, whose first line may name the columns.
      dimensions: D.

    Raises:
      ConfigError: the file cannot be read, or its points are not of D numbers.
      DataError: a line that is not of numbers; named by its number.

    Example:
      >>> import tempfile
      >>> from pathlib import Path
      >>> from jaxode.data.point_files import read_points
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     path = Path(folder, "points.csv")
      ...     _ = path.write_text("x,y\n0.5,1\n2,-3\n")
      ...     read_points(path, 2).tolist()
      [[0.5, 1.0], [2.0, -3.0]]
    """
    try:
        contents = read_bounded(path, MOST_BYTES)
        points = array_of(contents, KINDS) if path.suffix != ".csv" else _rows(contents, path)
    except DataError:
        raise
    except (OSError, ValueError, EOFError, SyntaxError) as error:
        raise ConfigError(f"cannot read {path}: {one_line(error)}") from error
    if points.ndim != 2 or points.shape[1] != dimensions or not len(points):
        shape = list(points.shape)
        raise ConfigError(f"{path} must be an array [N, {dimensions}] of numbers, got {shape}")
    if not np.isfinite(points).all():
        raise ConfigError(f"{path} must hold finite numbers alone")
    return points.astype(np.float64)


def _rows(contents: bytes, path: Path) -> np.ndarray:
    """Rows of numbers of equal length. Raises DataError, UnicodeDecodeError (a ValueError)."""
    rows: list[list[float]] = []
    for number, line in enumerate(contents.decode("utf-8-sig").splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = [float(word) for word in line.replace(";", ",").split(",")]
        except ValueError as error:
            if number == 1:
                continue  # names of the columns
            raise DataError(f"{path}, line {number}: must be numbers, {one_line(error)}") from error
        if rows and len(row) != len(rows[0]):
            first = len(rows[0])
            raise DataError(
                f"{path}, line {number}: {len(row)} numbers, where the first has {first}"
            )
        rows.append(row)
    return np.array(rows) if rows else np.zeros((0, 0))
