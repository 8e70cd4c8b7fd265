"""Tables of points for density estimation: wine quality, BSDS300's patches, arrays of a user."""

from __future__ import annotations

import io
import lzma
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from jaxode.checks import ConfigError, one_line
from jaxode.data import archives, regular
from jaxode.data.npy import MOST_BYTES, array_of, read_npy
from jaxode.data.specs import DataError
from jaxode.data.text_lines import lines, number

FOLDS, COLUMNS = 10, 12
"""Folds of a table; columns of the wine's, the last of which is not used."""

MOST_ROWS = 10**6
"""Of a table of wines."""

Points = Float[np.ndarray, "N D"]


class Splits(NamedTuple):
    """Points to train on and to test with, float32."""

    train: Points
    test: Points


class StandardisedSplits(Splits):
    """Points that are (x - shift) / scale of those of the source.

    Attributes:
      shift: [D].
      scale: [D], above 0.
    """

    shift: Float[np.ndarray, " D"]
    scale: Float[np.ndarray, " D"]


def read_wine(path: Path, fold: int) -> Splits:
    """Wine quality (UCI): 11 attributes, standardised by the training points.

    Source of the protocol: Uria, Murray and Larochelle 2013, "RNADE", ten folds.

    Args:
      path: winequality-red.csv or winequality-white.csv, with commas or semicolons.
      fold: 0 to 9, the tenth of the shuffled rows to test with.

    Raises:
      ConfigError: the file cannot be read, or the fold does not exist.
      DataError: a row that is not of numbers, or is too short or long; named by its line.
    """
    if fold not in range(FOLDS):
        raise ConfigError(f"fold must be a whole number from 0 to {FOLDS - 1}, got {fold!r}")
    rows = []
    for line_number, line in lines(path):
        if line and line_number > 1:
            rows.append(_row(line, f"{path}, line {line_number}"))
    if not FOLDS <= len(rows) <= MOST_ROWS:
        raise DataError(f"{path} must have {FOLDS} to {MOST_ROWS} rows, found {len(rows)}")
    return _standardised(*_fold(np.array(rows)[:, :-1], fold), path)


def _row(line: str, where: str) -> list[float]:
    words = line.replace(";", ",").split(",")
    if len(words) != COLUMNS:
        raise DataError(f"{where}: must be {COLUMNS} numbers, found {len(words)}")
    try:
        return [number(word.strip()) for word in words]
    except ValueError as error:
        raise DataError(f"{where}: {one_line(error)}") from None


def read_patches(path: Path) -> Splits:
    """BSDS300's grey patches of 8 x 8: 63 numbers each.

    Uniform noise is added to the values of 0 to 255, they are divided by 256, the mean of the patch
    is subtracted and the last pixel left out (Zoran and Weiss 2011; Papamakarios et al. 2017).

    Args:
      path: patches.npz.xz, with arrays `train` and `test` [N, 64] of bytes.

    Raises:
      ConfigError: the file cannot be read.
      DataError: it does not hold what is expected.
    """
    try:
        with regular.opened(path) as file, lzma.open(file, "rb") as unpacked:
            content = unpacked.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise DataError(f"it unpacks to more than {MOST_BYTES} bytes")
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            arrays = {
                name: array_of(archives.contents(archive, f"{name}.npy", MOST_BYTES))
                for name in ("train", "test")
            }
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    except (OSError, ValueError, KeyError, EOFError, lzma.LZMAError, zipfile.BadZipFile) as error:
        raise ConfigError(f"cannot read {path}: {one_line(error)}") from error
    for name, array in arrays.items():
        if array.dtype != np.uint8 or array.ndim != 2 or array.shape[1] != 64:
            raise DataError(f"{path}: {name} must be bytes [N, 64], found {array.shape}")
    rng = np.random.default_rng(0)
    parts = []
    for array in arrays.values():
        values = (array + rng.random(array.shape)) / 256
        parts.append((values - values.mean(1, keepdims=True))[:, :-1].astype(np.float32))
    return Splits(*parts)


def read_array(path: Path, fold: int) -> Splits:
    """Points of an .npy file [N, D], standardised by the training points; a tenth is the test.

    Args:
      path: the file.
      fold: 0 to 9, the tenth of the shuffled rows to test with.

    Raises:
      ConfigError: the file cannot be read, or is no array of finite numbers [N, D] with N ≥ 10.
    """
    array = read_npy(path, "fiu")
    if array.ndim != 2 or len(array) < FOLDS or array.shape[1] < 1 or not np.isfinite(array).all():
        raise ConfigError(
            f"{path} must be an array [N, D] of finite numbers with N of {FOLDS} or more, got"
            f" {array.shape}"
        )
    return _standardised(*_fold(array.astype(np.float64), fold), path)


def _fold(rows: Points, fold: int) -> tuple[Points, Points]:
    order = np.random.default_rng(0).permutation(len(rows))
    parts = np.array_split(order, FOLDS)
    test = parts.pop(fold)
    return rows[np.concatenate(parts)], rows[test]


def _standardised(train: Points, test: Points, path: Path) -> StandardisedSplits:
    """Points by the training points' mean and standard deviation. Raises DataError."""
    with np.errstate(over="ignore", invalid="ignore"):
        mean, deviation = train.mean(0), train.std(0)
        deviation = np.where(deviation > 0, deviation, 1.0)
        parts = [((part - mean) / deviation).astype(np.float32) for part in (train, test)]
    if not all(np.isfinite(part).all() for part in (deviation, *parts)):
        raise DataError(f"{path}: its numbers are too far apart to be standardised")
    found = StandardisedSplits(*parts)
    found.shift, found.scale = mean, deviation
    return found


def gaussian_score(splits: Splits) -> float:
    """Mean log-likelihood in nats of the test points under the normal distribution of the others.

    Example:
      >>> import numpy as np
      >>> from jaxode.data.point_tables import Splits, gaussian_score
      >>> points = np.random.default_rng(0).normal(size=(4000, 1)).astype(np.float32)
      >>> round(gaussian_score(Splits(points, points)), 1)
      -1.4
    """
    train, test = (np.asarray(part, np.float64) for part in splits)
    covariance = np.atleast_2d(np.cov(train.T))
    centred = test - train.mean(0)
    squares = (centred * np.linalg.solve(covariance, centred.T).T).sum(1)
    constant = test.shape[1] * np.log(2 * np.pi) + np.linalg.slogdet(covariance)[1]
    return float(-0.5 * (squares.mean() + constant))
