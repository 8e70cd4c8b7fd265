"""The pairs of a data set as arrays for training, and what a model has to know of them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np

from experiments.depths.config import NYU, DepthConfig
from jaxode.checks import require
from jaxode.data import ArrayDataset, Dataset
from jaxode.data.depth import DepthPairs, DepthReading
from jaxode.data.depth.views import depth_views
from jaxode.data.streaming import Examples


class Problem(NamedTuple):
    """Data, and numbers of the training pictures."""

    dataset: Dataset
    mean: tuple[float, float, float]
    """Of each colour, from 0 to 1."""
    std: tuple[float, float, float]
    mean_log_depth: float
    size: tuple[int, int]
    """Height and width of the pictures in pixels."""
    malformed: tuple[str, ...]
    """A line for each pair that was left out."""


def problem(config: DepthConfig) -> Problem:
    """The data of the settings. Raises ConfigError, DataError."""
    given = config.data_dir is not None or config.data != NYU  # a parser has defaults without it
    require(given, "data_dir", config.data_dir, f"given for data {config.data}")
    folder = Path(config.data_dir or config.data)
    reading = DepthReading.of(
        config.data, config.per_metre, config.crop, config.test_share, config.seed
    )
    size = None
    if config.image_height is not None and config.image_width is not None:
        size = config.image_height, config.image_width
    splits = reading.splits(folder, size)
    mean, std = colours(splits.train)
    log_depth = np.log(splits.train.depth[splits.train.depth > 0], dtype=np.float64).mean()
    data = ArrayDataset(
        config.data if config.data_dir else folder.name,
        arrays(splits.train),
        arrays(splits.test),
        SimpleNamespace(test_names=splits.test.names),
        transforms=depth_views(mean, std, config.augmentations, eigen=reading.eigen),
    )
    shape = splits.train.depth.shape[1:]
    return Problem(data, mean, std, round(float(log_depth), 4), shape, splits.malformed)


def arrays(pairs: DepthPairs) -> Examples:
    """What a batch holds as it is stored."""
    return {"image": pairs.images, "depth": pairs.depth}


def colours(
    pairs: DepthPairs,
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Mean and standard deviation of red, green and blue from 0 to 1, to four digits."""
    found = []
    for channel in range(3):
        counts = np.bincount(pairs.images[..., channel].ravel(), minlength=256)
        values = np.arange(256) / 255
        mean = (counts @ values) / counts.sum()
        spread = np.sqrt((counts @ (values - mean) ** 2) / counts.sum())
        found.append((round(float(mean), 4), max(round(float(spread), 4), 1e-3)))
    (a, d), (b, e), (c, f) = found
    return (a, b, c), (d, e, f)
