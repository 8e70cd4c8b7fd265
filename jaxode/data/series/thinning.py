"""Some of the points of padded series: which are drawn, and the series with those alone."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Int

from jaxode.checks import SEEDS, require_in

if TYPE_CHECKING:
    from jaxode.data.series.padded import PaddedSeries


def drawn(
    among: Bool[np.ndarray, "N T"], counts: Int[np.ndarray, " N"], seed: int
) -> Bool[np.ndarray, "N T"]:
    """Points drawn without replacement, each of a series as probable as another.

    Args:
      among: the points that may be drawn.
      counts: how many of each series; all of them where there are fewer.
      seed: of the draw.

    Raises:
      ConfigError: the seed is none.
    """
    require_in("seed", seed, SEEDS)
    # The points with the smallest of independent uniform numbers are a uniform draw.
    keys = np.random.default_rng(seed).random(among.shape)
    keys[~among] = np.inf
    ranks = np.argsort(np.argsort(keys, axis=1), axis=1)
    return among & (ranks < counts[:, None])


def kept(series: PaddedSeries, points: Bool[np.ndarray, "N T"]) -> PaddedSeries:
    """The series at some of their points, padded to the longest of what is left.

    Args:
      series: of T points.
      points: those to keep, at least one of each series and none of the padding.
    """
    lengths = points.sum(1).astype(np.int32)
    place = np.arange(lengths.max())
    order = np.argsort(~points, axis=1, kind="stable")  # the points that are kept come first
    chosen = np.take_along_axis(order, np.minimum(place, lengths[:, None] - 1), axis=1)
    inside = (place < lengths[:, None])[..., None]
    return replace(
        series,
        times=np.take_along_axis(series.times, chosen, axis=1),
        values=np.take_along_axis(series.values, chosen[..., None], axis=1) * inside,
        mask=np.take_along_axis(series.mask, chosen[..., None], axis=1) & inside,
        lengths=lengths,
    )
