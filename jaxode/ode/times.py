"""Where a solve begins, which way it runs and where its outputs are, from what a user passes.

Solves run in the time s = |t - t0| that has passed since their start: it rises whichever way t
runs, and its precision does not depend on where t0 is. A field is evaluated at `Span.clock(s)`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer
from jaxtyping import Array, Bool, Float

from jaxode.checks import ConfigError
from jaxode.types import Dimension, EndTime

TimesLike = Any
"""Numbers, an array, or a list of either; traced or not."""


BesideTime = Bool[Array, "..."] | bool
"""Whether to evaluate a field just beside a time."""


class Span(NamedTuple):
    """Where a solve begins, which way it runs, and its output times.

    Arrays of NumPy if the times are known when the program is traced, of JAX otherwise.
    """

    t0: EndTime
    sign: EndTime
    """1 where time rises, -1 where it falls."""
    outputs: EndTime
    """s of every output, never falling; [T] where all samples share their times."""

    @property
    def known(self) -> bool:
        """Whether the times are known when the program is traced."""
        return isinstance(self.t0, np.generic | np.ndarray)

    @property
    def end(self) -> EndTime:
        """S of the last output."""
        return self.outputs[-1]

    def clock(self, s: EndTime, before: BesideTime = False, after: BesideTime = False) -> EndTime:
        """The time t = t0 ± s at which the field is evaluated.

        Args:
          s: time since the start.
          before: whether to return the last number before it, in the direction of the solve.
          after: the next number after it.
        """
        known = self.known
        if known and np.all(self.t0 == 0) and np.all(self.sign == 1):
            t = s
        else:
            t = self.t0 + self.sign * s
        for moved, sign in ((before, -1), (after, 1)):
            if moved is not False:
                fixed = lax.stop_gradient(t)  # nextafter has no derivative
                near = lax.nextafter(fixed, fixed + lax.stop_gradient(sign * self.sign))
                t = t + jnp.where(moved, near - fixed, jnp.zeros_like(fixed))
        return t

    def outputs_of(self, batch_shape: tuple) -> Float[Array, "T *samples"]:
        """S of every output, for each sample."""
        outputs = jnp.asarray(self.outputs)
        if outputs.ndim > len(batch_shape):
            return outputs
        return jnp.broadcast_to(outputs[:, None], (outputs.shape[0], *batch_shape))

    def axes(self) -> Span:
        """The axis of samples of each part, for `jax.vmap`; None where all share it."""
        return Span(
            *(0 if np.ndim(leaf) else None for leaf in self[:2]),
            (  # type: ignore[arg-type]
                1 if np.ndim(self.outputs) > 1 else None
            ),
        )

    def since_start(self, times: Any) -> EndTime:
        """S of times between the start and the end, of a solve with one start."""
        if not np.size(times):
            return np.zeros(0)  # type: ignore[return-value]
        return (np.asarray(times, np.float64) - self.t0) * self.sign  # type: ignore[return-value]


def span_of(ts: TimesLike, dtype: np.dtype, samples: Dimension | None) -> Span:
    """The span of output times, the first of which is the start.

    Args:
      ts: T ≥ 2 times, [T]; or [B, T] with per-sample step sizes. Rising or falling; neighbours may
        be equal.
      dtype: type of the state.
      samples: number of samples B with per-sample step sizes, else None.

    Raises:
      ConfigError: the times are not as stated.
    """
    leaves = jax.tree.leaves(ts)
    if any(isinstance(leaf, Tracer) for leaf in leaves):
        times = ts if isinstance(ts, Array) else jnp.stack([jnp.asarray(t, dtype) for t in ts])
        _check_shape(times.shape, samples)
        times = times.astype(dtype)
        sign = jnp.where(times[..., -1] < times[..., 0], -1, 1).astype(dtype)
        start, passed = times[..., 0], (times - times[..., :1]) * sign[..., None]
        return Span(start, sign, jnp.moveaxis(passed[..., 1:], -1, 0))
    try:
        times = np.asarray(ts, np.float64)
    except (TypeError, ValueError):
        raise ConfigError(f"ts must be numbers, got {ts!r}") from None
    _check_shape(times.shape, samples)
    steps = np.diff(times, axis=-1)
    one_way = (steps >= 0).all(-1) | (steps <= 0).all(-1)
    if not np.isfinite(times).all() or not one_way.all():
        raise ConfigError(
            "ts must be two or more finite times, each after or each before the last, got"
            f" {np.array2string(times, threshold=8)}"
        )
    sign = np.where(times[..., -1] < times[..., 0], -1.0, 1.0)
    passed = (times - times[..., :1]) * sign[..., None]
    outputs = np.moveaxis(passed[..., 1:], -1, 0).astype(dtype)
    known: Any = (times[..., 0].astype(dtype)[()], sign.astype(dtype)[()], outputs)
    return Span(*known)


def ordered(span: Span) -> Bool[Array, "*samples"]:
    """Whether the output times are finite and never fall; for times that are traced."""
    outputs = jnp.asarray(span.outputs)
    rising = (jnp.diff(outputs, axis=0) >= 0).all(0) & (outputs[0] >= 0)
    return rising & jnp.isfinite(outputs).all(0) & jnp.isfinite(jnp.asarray(span.t0))


def _check_shape(shape: tuple[int, ...], samples: Dimension | None) -> None:
    if len(shape) not in ((1,) if samples is None else (1, 2)) or shape[-1] < 2:
        allowed = "[T]" if samples is None else "[T] or [B, T]"
        raise ConfigError(
            f"ts must have the shape {allowed} with T of 2 or more, got {list(shape)}"
        )
    if len(shape) == 2 and shape[0] != samples:
        raise ConfigError(f"ts must have a row for each of {samples} samples, got {shape[0]}")
