"""Calls timed in turn, so that a machine whose speed drifts slows all of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

REST = 0.01
"""Seconds between two calls: threads of the one before may still be spinning."""


class Spread(NamedTuple):
    """A median, and the ends of what was seen."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """Of at least one value."""
    return Spread(statistics.median(values), min(values), max(values))


def in_turn(
    calls: Mapping[str, Callable[[], Any]],
    runs: int,
    *,
    warmups: int = 1,
    clock: Callable[[], float] = time.perf_counter,
    rest: Callable[[float], None] = time.sleep,
) -> tuple[dict[str, list[float]], dict[str, str]]:
    """Seconds of every call in each of `runs` rounds, after `warmups` untimed ones.

    Also why a call was given up.

    A round makes each call once, every second round in the opposite order, so that none always
    follows the same other.
    """
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    failures: dict[str, str] = {}
    for round_ in range(-warmups, runs):
        for name in list(calls) if round_ % 2 == 0 else reversed(list(calls)):
            if name in failures:
                continue
            rest(REST)
            begin = clock()
            try:
                calls[name]()
            except Exception as error:
                failures[name] = reason(error)
                del seconds[name]
                continue
            if round_ >= 0:
                seconds[name].append(clock() - begin)
    return seconds, failures


def ratios(theirs: Sequence[float], ours: Sequence[float]) -> list[float]:
    """Their time over ours, round by round."""
    return [a / b for a, b in zip(theirs, ours, strict=True)]


def reason(error: BaseException) -> str:
    """An exception in one line."""
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {first[:200]}".removesuffix(": ")
