"""What of a difference is torchdiffeq's own: its conditioning, and its errors against SciPy.

An adaptive step's size follows from an error estimate, a difference of nearly equal numbers. Both
sides round in every operation, and an error estimate that is little more than rounding moves the
steps, the more the tighter the tolerance.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from scipy.integrate import solve_ivp

from scripts.parity.measure import relative
from scripts.parity.plain_cells import PlainCell
from scripts.parity.plain_sides import (
    PARAMETERS,
    Found,
    forward_times,
    slope,
    start,
    theirs,
    weights,
)

EPS = float(np.finfo(np.float64).eps)


class Differences(NamedTuple):
    """How far two results are apart.

    Args:
      output: relative.
      gradient: relative, the largest of start, each parameter and times.
      times: of the forward evaluations.
    """

    output: float
    gradient: float
    times: float


DRAWS = 3


def rounded_starts(cell: PlainCell) -> Iterator[list[np.ndarray]]:
    """Starts one rounding away."""
    rng = np.random.default_rng(2)
    for _ in range(DRAWS):
        yield [z * (1 + EPS * rng.choice((-1, 1), z.shape)) for z in start(cell)]


def times_moved(cell: PlainCell, found: Found) -> float:
    """The most that the times of torchdiffeq's forward evaluations move from such starts."""
    others = [forward_times(cell, rounded) for rounded in rounded_starts(cell)]
    same = [times for times in others if len(times) == len(found.times)]
    return max((float(np.max(np.abs(times - found.times))) for times in same), default=0.0)


def moved_by_rounding(cell: PlainCell, found: Found) -> Differences:
    """The most that torchdiffeq's own results move from such starts."""
    others = [theirs(cell, rounded) for rounded in rounded_starts(cell)]
    moves = [differences(other, found) for other in others if other.steps == found.steps]
    most = [max(each) for each in zip(*moves, strict=True)]
    return Differences(*most) if most else Differences(0, 0, 0)


def differences(a: Found, b: Found) -> Differences:
    """Relative differences of outputs and gradients, and that of times.

    They are infinite where a side has a NaN, or another number of times.
    """
    pairs = zip(a.gradients, b.gradients, strict=True)
    found = (
        relative(a.outputs, b.outputs),
        np.max([relative([x], [y]) for x, y in pairs]),
        np.max(np.abs(a.times - b.times)) if len(a.times) == len(b.times) else np.inf,
    )
    return Differences(*(np.inf if np.isnan(each) else float(each) for each in found))


class TorchErrors(NamedTuple):
    """Relative errors of torchdiffeq against SciPy's DOP853 at 1e-13.

    Args:
      output: of the states at the output times.
      end_time: of the derivative with respect to the last time, which is the sum of the weights
        times the field at the last state.
    """

    output: float
    end_time: float


def errors_of_torch(cell: PlainCell, found: Found) -> TorchErrors:
    """How far torchdiffeq's results are from the solution."""
    leaves = start(cell)
    ends = np.cumsum([leaf.size for leaf in leaves])[:-1]

    def flat_slope(t: float, flat: np.ndarray) -> np.ndarray:
        parts = zip(np.split(flat, ends), leaves, strict=True)
        state: tuple[np.ndarray, ...] = tuple(part.reshape(leaf.shape) for part, leaf in parts)
        given = state if cell.state == "tuple" else state[0]
        return _flat(slope(np, t, given, PARAMETERS))

    ts = cell.ts
    exact = solve_ivp(
        flat_slope, (ts[0], ts[-1]), _flat(leaves), "DOP853", ts, rtol=1e-13, atol=1e-13
    ).y.T
    outputs = np.stack([_flat([z[i] for z in found.outputs]) for i in range(len(ts))])
    derivative = _flat([w[-1] for w in weights(cell)]) @ flat_slope(ts[-1], exact[-1])
    return TorchErrors(
        float(np.linalg.norm(outputs - exact) / np.linalg.norm(exact)),
        float(abs(found.gradients[-1][-1] - derivative) / abs(derivative)),
    )


def _flat(leaves: Any) -> np.ndarray:
    leaves = leaves if isinstance(leaves, (tuple, list)) else [leaves]
    return np.concatenate([np.ravel(leaf) for leaf in leaves])
