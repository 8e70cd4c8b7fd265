"""Points of a user's files: .npy arrays, or tables of numbers as CSV."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float

from jaxode.checks import ConfigError, one_line
from jaxode.data.npy import read_npy
from jaxode.data.specs import DataError
from jaxode.data.text_lines import lines, number


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
    points = _rows(path) if path.suffix == ".csv" else read_npy(path, "fiu")
    if points.ndim != 2 or points.shape[1] != dimensions or not len(points):
        shape = list(points.shape)
        raise ConfigError(f"{path} must be an array [N, {dimensions}] of numbers, got {shape}")
    if not np.isfinite(points).all():
        raise ConfigError(f"{path} must hold finite numbers alone")
    return points.astype(np.float64)


def _rows(path: Path) -> np.ndarray:
    """Rows of numbers of equal length. Raises ConfigError, DataError."""
    rows: list[list[float]] = []
    for line_number, line in lines(path):
        words = line.replace(";", ",").split(",")
        if not line or (line_number == 1 and not any(map(_is_number, words))):
            continue  # empty, or names of the columns
        try:
            row = [number(word.strip()) for word in words]
        except ValueError as error:
            raise DataError(f"{path}, line {line_number}: {one_line(error)}") from None
        if rows and len(row) != len(rows[0]):
            first = len(rows[0])
            raise DataError(
                f"{path}, line {line_number}: {len(row)} numbers, where the first has {first}"
            )
        rows.append(row)
    return np.array(rows) if rows else np.zeros((0, 0))


def _is_number(word: str) -> bool:
    """Whether Python reads a word as a number: a first line with a NaN names no columns."""
    try:
        float(word)
    except ValueError:
        return False
    return True
