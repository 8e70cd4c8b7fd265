"""Series to train on, to validate with and to test with."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from jaxode.checks import SEEDS, ConfigError, Range, require_in, shown
from jaxode.data.series.padded import PaddedSeries
from jaxode.data.specs import DataError
from jaxode.data.splitting import held_out

SHARES = Range(0.01, 0.99)


class SeriesSplits(NamedTuple):
    """Series to train on and to test with, and to choose a checkpoint with where there are any.

    Example:
      >>> from jaxode.data.series import SeriesSplits, pad
      >>> series = pad([([0.0], [[1.0]])])
      >>> SeriesSplits(series, series).validation is None
      True
    """

    train: PaddedSeries
    test: PaddedSeries
    validation: PaddedSeries | None = None


def random_split(series: PaddedSeries, train_share: float = 0.8, seed: int = 42) -> SeriesSplits:
    """A split into two by a random order, which knows nothing of classes.

    The rows are those of scikit-learn's `train_test_split(train_size=train_share,
    random_state=seed)`, by which Rubanova et al. 2019 split PhysioNet (80 %, seed 42); NumPy's
    `RandomState` draws them there too.

    Args:
      series: at least 2.
      train_share: 0.01 to 0.99; ⌊train_share · N⌋ series are trained on.
      seed: of the order.

    Raises:
      ConfigError: another share or seed.
      DataError: one of the two parts would be empty.

    Example:
      >>> from jaxode.data.series import pad, random_split
      >>> series = pad([([0.0], [[float(k)]]) for k in range(10)])
      >>> random_split(series).test.values.ravel().tolist()
      [8.0, 1.0]
    """
    require_in("train_share", train_share, SHARES, float)
    require_in("seed", seed, SEEDS)
    trained = math.floor(train_share * len(series))
    if not 0 < trained < len(series):
        raise DataError(f"{len(series)} series cannot be split with a train_share of {train_share}")
    order = np.random.RandomState(seed).permutation(len(series))  # scikit-learn's generator
    held = len(series) - trained
    return SeriesSplits(series.take(order[held:]), series.take(order[:held]))


def stratified_split(
    series: PaddedSeries, shares: tuple[float, float, float] = (0.7, 0.15, 0.15), seed: int = 0
) -> SeriesSplits:
    """A split into three in which every class has its share, as near as whole numbers can be.

    Source of the shares: Kidger et al. 2020, who split the UEA archive's sets so.

    Args:
      series: with labels.
      shares: of training, validation and test, 0.01 to 0.99 each, 1 together.
      seed: of the draw; validation and test are drawn apart by the seed that follows it.

    Raises:
      ConfigError: other shares or seed.
      DataError: there are no labels, or too few series.

    Example:
      >>> from jaxode.data.series import pad, stratified_split
      >>> series = pad([([0.0], [[1.0]])] * 40, labels=[0, 1] * 20)
      >>> [(len(part), part.labels.sum().item()) for part in stratified_split(series)]
      [(28, 14), (6, 3), (6, 3)]
    """
    for share in shares:
        require_in("shares", share, SHARES, float)
    if len(shares) != 3 or not math.isclose(sum(shares), 1, abs_tol=1e-6):
        raise ConfigError(f"shares must be three numbers with a sum of 1, got {shown(shares)}")
    require_in("seed", seed, SEEDS)
    if series.labels is None:
        raise DataError("series without labels cannot be split by class: use random_split")
    later = held_out(series.labels, shares[1] + shares[2], seed)
    others = np.flatnonzero(later)
    tested = held_out(series.labels[others], shares[2] / (shares[1] + shares[2]), seed + 1)
    rows = np.flatnonzero(~later), others[tested], others[~tested]
    if not all(map(len, rows)):
        raise DataError(f"{len(series)} series are too few for the shares {shares}")
    return SeriesSplits(*map(series.take, rows))
