"""Time series of unequal lengths, at irregular times, as arrays of one length with masks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxode.checks import ConfigError, Range, require, require_count, require_in, shown
from jaxode.data.series import soundness, thinning


class ObservedStatistics(NamedTuple):
    """What the observed values of each channel are like; of a channel without any: 0, 1, 0, 0, 0.

    Args:
      mean: [D], float64.
      std: standard deviation [D], float64.
      minimum: [D], float64.
      maximum: [D], float64.
      count: observed values [D], int64.

    Example:
      >>> from jaxode.data.series import pad
      >>> series = pad([([0.0, 1.0], [[1.0], [3.0]])])
      >>> series.observed_statistics().mean.tolist()
      [2.0]
    """

    mean: Float[np.ndarray, " D"]
    std: Float[np.ndarray, " D"]
    minimum: Float[np.ndarray, " D"]
    maximum: Float[np.ndarray, " D"]
    count: Int[np.ndarray, " D"]


@dataclass(frozen=True, eq=False)
class PaddedSeries:
    """N series of D channels, each at times of its own, padded to T points.

    Every method returns new series and leaves these as they are; what is drawn is a function of the
    seed and of the series' order.

    Args:
      times: float32 [N, T], rising strictly; padding repeats a series' last time, so that an
        interval of padding has length 0.
      values: float32 [N, T, D], 0 where nothing was observed.
      mask: bool [N, T, D], where a value was observed.
      lengths: int32 [N], points of each series without padding, 1 to T.
      channels: D names.
      labels: classes, int32 [N]; None without.
      class_names: in the order of the labels; empty without labels.
      record_names: N names of the series in their source; empty where they have none.

    Raises:
      DataError: arrays that are not so; the first wrong series is named.

    Example:
      >>> from jaxode.data.series import pad
      >>> series = pad([([0.0, 0.5, 2.0], [[1.0], [2.0], [4.0]]), ([1.0], [[3.0]])], labels=[1, 0])
      >>> series.times.tolist(), series.lengths.tolist()
      ([[0.0, 0.5, 2.0], [1.0, 1.0, 1.0]], [3, 1])
      >>> series.take([1]).values.ravel().tolist()
      [3.0, 0.0, 0.0]
    """

    times: Float[np.ndarray, "N T"]
    values: Float[np.ndarray, "N T D"]
    mask: Bool[np.ndarray, "N T D"]
    lengths: Int[np.ndarray, " N"]
    channels: tuple[str, ...]
    labels: Int[np.ndarray, " N"] | None = None
    class_names: tuple[str, ...] = ()
    record_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        soundness.check(self)

    def __len__(self) -> int:
        """The number of series."""
        return len(self.times)

    @property
    def points(self) -> int:
        """Points of a series with its padding, T."""
        return self.times.shape[1]

    def take(self, rows: object) -> PaddedSeries:
        """Some of the series, in the order given.

        Args:
          rows: whole numbers from 0 to N - 1, at least one.

        Raises:
          ConfigError: other rows.
        """
        index = np.asarray(rows)
        whole = index.ndim == 1 and index.size > 0 and index.dtype.kind in "iu"
        allowed = f"whole numbers from 0 to {len(self) - 1}, at least one"
        require(whole and index.min() >= 0 and index.max() < len(self), "rows", rows, allowed)
        return replace(
            self,
            times=self.times[index],
            values=self.values[index],
            mask=self.mask[index],
            lengths=self.lengths[index],
            labels=None if self.labels is None else self.labels[index],
            record_names=tuple(self.record_names[i] for i in index) if self.record_names else (),
        )

    def drop_points(self, fraction: float, seed: int) -> PaddedSeries:
        """The series without a given fraction of their points, drawn for each by itself.

        A point goes with all its channels. Of n points ⌊fraction · n⌋ go, and 2 stay at least
        (Kidger et al. 2020, section 4.1, drop 30, 50 and 70 % so, before the data are split).

        Args:
          fraction: 0 to 0.99.
          seed: of the draw.

        Raises:
          ConfigError: another fraction or seed.
        """
        require_in("fraction", fraction, Range(0.0, 0.99), float)
        dropped = np.floor(fraction * self.lengths + 1e-9).astype(int)  # 0.29 · 100 is 28.99…
        wanted = np.maximum(self.lengths - dropped, 2)
        inside = np.arange(self.points) < self.lengths[:, None]
        return thinning.kept(self, thinning.drawn(inside, wanted, seed))

    def subsample(self, count: int, seed: int) -> PaddedSeries:
        """The series at `count` of their observed times, drawn for each by itself.

        Times at which no channel was observed are left out; a series with fewer observed times
        keeps them all, and one without any keeps its first point.

        Args:
          count: times to keep of each series.
          seed: of the draw.

        Raises:
          ConfigError: another count or seed.
        """
        require_count("count", count)
        observed = np.any(self.mask, axis=2)
        observed[:, 0] |= ~np.any(observed, axis=1)
        return thinning.kept(self, thinning.drawn(observed, np.full(len(self), count), seed))

    def padded_to(self, points: int) -> PaddedSeries:
        """The same series with more padding, or with less where none is that long.

        Raises:
          ConfigError: fewer points than the longest series has.
        """
        longest = int(self.lengths.max())
        require_in("points", points, Range(longest, 10**9))
        columns = np.minimum(np.arange(points), self.points - 1)
        values, mask = self.values[:, columns], self.mask[:, columns]
        values[:, longest:], mask[:, longest:] = 0, False
        return replace(self, times=self.times[:, columns], values=values, mask=mask)

    def times_divided(self, unit: float) -> PaddedSeries:
        """The series with their times in another unit, `unit` of the present one."""
        require_in("unit", unit, Range(1e-9, 1e9), float)
        return replace(self, times=(self.times / np.float64(unit)).astype(np.float32))

    def observed_statistics(self) -> ObservedStatistics:
        """Mean, standard deviation, minimum and maximum of each channel's observed values."""
        rows = []
        for channel in range(len(self.channels)):
            found = self.values[..., channel][self.mask[..., channel]].astype(np.float64)
            if len(found):
                rows.append((found.mean(), found.std(), found.min(), found.max(), len(found)))
            else:
                rows.append((0.0, 1.0, 0.0, 0.0, 0))
        mean, std, minimum, maximum, count = map(np.array, zip(*rows, strict=True))
        return ObservedStatistics(mean, std, minimum, maximum, count)

    def affine(self, shift: object, scale: object) -> PaddedSeries:
        """(x - shift) / scale of the observed values x; what is not observed stays 0.

        Args:
          shift: D finite numbers, a channel each.
          scale: D finite numbers, none of them 0.

        Raises:
          ConfigError: other numbers.
        """
        shifts, scales = self._numbers("shift", shift), self._numbers("scale", scale)
        require(bool(scales.all()), "scale", scale, "numbers other than 0")
        values = np.zeros_like(self.values)
        for channel, (less, unit) in enumerate(zip(shifts, scales, strict=True)):
            where = self.mask[..., channel]
            values[..., channel][where] = (self.values[..., channel][where] - less) / unit
        return replace(self, values=values)

    def standardised(self, mean: object, std: object) -> PaddedSeries:
        """(x - mean) / std of the observed values; a deviation of 0 divides by 1."""
        deviation = self._numbers("std", std)
        require(bool((deviation >= 0).all()), "std", std, "numbers of 0 or more")
        return self.affine(mean, np.where(deviation > 0, deviation, 1.0))

    def scaled(self, minimum: object, maximum: object) -> PaddedSeries:
        """(x - minimum) / (maximum - minimum) of the observed values; a range of 0 divides by 1."""
        span = self._numbers("maximum", maximum) - self._numbers("minimum", minimum)
        require(bool((span >= 0).all()), "maximum", maximum, "at least the minimum")
        return self.affine(minimum, np.where(span > 0, span, 1.0))

    def _numbers(self, name: str, given: object) -> Float[np.ndarray, " D"]:
        try:
            array = np.asarray(given, np.float64)
        except (TypeError, ValueError):
            array = np.empty(0)
        count = len(self.channels)
        if array.shape != (count,) or not np.isfinite(array).all():
            allowed = f"{count} finite numbers, one for each channel"
            raise ConfigError(f"{name} must be {allowed}, got {shown(given)}")
        return array
