"""A batch of time series at times of their own, and the scan over its rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree

from jaxode.ode import Stats

Carry = TypeVar("Carry", bound=PyTree)


class Series(NamedTuple):
    """Series of D channels, padded to T rows, as `jaxode.data.series.PaddedSeries` has them.

    Args:
      times: [B, T], rising; padding repeats the last time.
      values: [B, T, D], 0 where nothing was observed.
      mask: [B, T, D], 1 where a value was observed and 0 elsewhere.
      lengths: rows of each series without padding, [B].

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxode.nn import Series
      >>> times = jnp.array([[0.0, 1.0, 3.0], [2.0, 2.0, 2.0]])
      >>> mask = jnp.ones((2, 3, 1)).at[1, 1:].set(0)
      >>> Series(times, mask, mask, jnp.array([3, 1])).gaps.tolist()
      [[0.0, 1.0, 2.0], [0.0, 0.0, 0.0]]
    """

    times: Float[Array, "B T"]
    values: Float[Array, "B T D"]
    mask: Float[Array, "B T D"]
    lengths: Int[Array, " B"]

    @property
    def gaps(self) -> Float[Array, "B T"]:
        """Time since the row before, 0 at the first."""
        return jnp.diff(self.times, axis=1, prepend=self.times[:, :1])

    @property
    def inside(self) -> Bool[Array, "B T"]:
        """Where a row is no padding."""
        return jnp.arange(self.times.shape[1]) < self.lengths[:, None]

    @property
    def observed(self) -> Bool[Array, "B T"]:
        """Where at least one value of a row was observed."""
        return jnp.any(self.mask > 0, axis=2)

    @property
    def rows(self) -> Float[Array, "B T D2"]:
        """Values and mask, side by side."""
        return jnp.concatenate([self.values, self.mask], 2)


def scan_rows(
    step: Callable[[Carry, PyTree], tuple[Carry, PyTree, Stats | None]],
    start: Carry,
    rows: PyTree,
    *,
    reverse: bool = False,
) -> tuple[Carry, PyTree, Stats | None]:
    """`jax.lax.scan` over the second axis of arrays [B, T, ...], from the first row or the last.

    Args:
      step: carry and a row of each array, [B, ...] → carry, a pytree of arrays [B, ...], and the
        statistics of a solve if there is one.
      start: the first carry.
      rows: pytree of arrays [B, T, ...].
      reverse: whether to begin with the last row.

    Returns:
      The last carry; a pytree of arrays [B, T, ...], in the order of the rows; and the statistics
      of all solves as of one.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxode.nn.series import scan_rows
      >>> def add(total, row):
      ...     return total + row, total + row, None
      >>> scan_rows(add, jnp.zeros(1), jnp.array([[1.0, 2.0, 3.0]]))[1].tolist()
      [[1.0, 3.0, 6.0]]
    """

    def scanned(carry: Carry, row: PyTree) -> tuple[Carry, tuple[PyTree, Stats | None]]:
        carry, *found = step(carry, row)
        return carry, (found[0], found[1])

    swapped = jax.tree.map(lambda array: jnp.swapaxes(array, 0, 1), rows)
    last, (found, stats) = jax.lax.scan(scanned, start, swapped, reverse=reverse)
    total = None if stats is None else total_stats(stats)
    return last, jax.tree.map(lambda array: jnp.swapaxes(array, 0, 1), found), total


def total_stats(stats: Stats) -> Stats:
    """Statistics of solves that follow each other, [T, ...], as those of one.

    Counts are summed; the failure is the first that occurred.
    """
    failed = stats.failure
    first = jnp.take_along_axis(failed, jnp.argmax(failed > 0, 0)[None], 0)[0]
    summed = jax.tree.map(lambda counts: jnp.sum(counts, 0, dtype=jnp.int32), stats)
    return summed._replace(failure=first)
