"""Paths through the rows of a series, which drive a controlled differential equation."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxode.nn.series import Series

Path = Float[Array, "B T C"]


class HermitePieces(NamedTuple):
    """Cubics between the rows of each series: x(t_i + s) = a + b s + c s² + d s³.

    Args:
      a: the value at the row that a piece begins with, [B, T - 1, C]; b, c and d likewise.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxode.nn.control import hermite_pieces
      >>> x = jnp.array([[[0.0], [1.0], [4.0]]])
      >>> pieces = hermite_pieces(x, jnp.array([[0.0, 1.0, 2.0]]))
      >>> pieces.b.ravel().tolist(), pieces.slope(jnp.array([[1.0]])).ravel().tolist()
      ([1.0, 1.0], [1.0, 3.0])
    """

    a: Path
    b: Path
    c: Path
    d: Path

    def slope(self, s: Float[Array, "*s"]) -> Path:
        """dx/dt at a time s since the beginning of each piece, which broadcasts with [B, T - 1]."""
        s = s[..., None]
        return self.b + s * (2 * self.c + 3 * s * self.d)


def hermite_pieces(x: Path, times: Float[Array, "B T"]) -> HermitePieces:
    """The Hermite cubic spline with backward differences.

    Each piece begins with the slope of the one before (the first with its own) and ends with its
    own, so it depends on nothing that comes later than its end.

    Source: Morrill, Kidger, Yang and Lyons 2021, "Neural Controlled Differential Equations for
    Online Prediction Tasks", section 3.2.

    Args:
      x: values without gaps, [B, T, C].
      times: rising, [B, T]; a piece of length 0 is constant.
    """
    h = jnp.diff(times, axis=1)[..., None]
    long = jnp.where(h > 0, h, 1.0)
    slope = jnp.where(h > 0, jnp.diff(x, axis=1) / long, 0.0)
    before = jnp.concatenate([slope[:, :1], slope[:, :-1]], 1)
    turn = slope - before
    return HermitePieces(x[:, :-1], before, 2 * turn / long, -turn / long**2)


def filled(x: Path, seen: Bool[Array, "B T C"], times: Float[Array, "B T"]) -> Path:
    """Values where none was observed, on a line through the neighbouring ones in time.

    Before a channel's first observation and behind its last, the nearest; a channel that was never
    observed is 0 (torchcde does the same).

    Args:
      x: values, [B, T, C].
      seen: where they were observed, [B, T, C].
      times: rising, [B, T].
    """

    def of_channel(
        x: Float[Array, " T"], seen: Bool[Array, " T"], times: Float[Array, " T"]
    ) -> Float[Array, " T"]:
        rows = jnp.arange(len(x))
        last = jax.lax.cummax(jnp.where(seen, rows, -1))
        following = jax.lax.cummin(jnp.where(seen, rows, len(x)), reverse=True)
        left = jnp.where(last >= 0, last, jnp.minimum(following, len(x) - 1))
        right = jnp.where(following < len(x), following, jnp.maximum(last, 0))
        span = times[right] - times[left]
        share = jnp.where(span > 0, (times - times[left]) / jnp.where(span > 0, span, 1.0), 0.0)
        line = x[left] + share * (x[right] - x[left])
        return jnp.where(jnp.any(seen), jnp.where(seen, x, line), 0.0)

    over_channels = jax.vmap(of_channel, in_axes=(1, 1, None), out_axes=1)
    return jax.vmap(over_channels)(x, seen, times)


def points_of(series: Series, knots: Float[Array, "B T"]) -> Path:
    """The points [B, T, 1 + D] that a control passes through: time, then the values.

    Behind a series' end it stands still.

    Args:
      series: B of them.
      knots: where the control is at each row; values that are missing lie on lines in between.
    """
    values = filled(series.values, (series.mask > 0) & series.inside[..., None], knots)
    return jnp.concatenate([series.times[..., None], values], 2)


class Control(NamedTuple):
    """A path x(t) of each sample, of pieces between knots.

    Args:
      knots: rising, [B, T].
      last: the number of the last knot that counts, [B]; behind it the last piece before it goes
        on, as before the first knot the first does.
      pieces: [B, T - 1, C].

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxode.nn.control import Control, hermite_pieces
      >>> knots = jnp.array([[0.0, 1.0, 2.0]])
      >>> pieces = hermite_pieces(jnp.array([[[0.0], [1.0], [4.0]]]), knots)
      >>> Control(knots, jnp.array([2]), pieces).slope(jnp.array([1.5])).tolist()
      [[3.5]]
    """

    knots: Float[Array, "B T"]
    last: Int[Array, " B"]
    pieces: HermitePieces

    def slope(self, t: Float[Array, " B"]) -> Float[Array, "B C"]:
        """dx/dt at a time of each sample; at a knot that of the piece that ends there."""
        found = jax.vmap(lambda knots, t: jnp.searchsorted(knots, t, side="left"))(self.knots, t)
        index = jnp.clip(found - 1, 0, jnp.maximum(self.last - 1, 0))
        samples = jnp.arange(len(t))
        piece = jax.tree.map(lambda numbers: numbers[samples, index], self.pieces)
        return piece.slope(t - self.knots[samples, index])
