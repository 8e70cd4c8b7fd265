"""Predicted time of a training step on many devices, from counts and stated rates.

    step = slowest · (fixed + images on a device · each image) + Σ over collectives of  times ·
    (latency + transfer)

A collective over N devices is a ring inside a machine, of G devices, and doublings between M = ⌈N /
G⌉ machines:

    latency  = inside + between · ⌈log2 M⌉ transfer = 2 (n - 1) / n · bytes / speed inside + 2 (M -
    1) / M · bytes / speed between,  n = min(N, G)

Nothing overlaps with computing: within a solve each evaluation needs what the last has left.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple


class Assumptions(NamedTuple):
    """What was not measured: times of a GPU in float32 and of its network.

    In seconds, and bytes a second.

    fixed: of a step with its some 90 evaluations and pullbacks of the field, about 10 kernels of 4
    µs in each. each: 0.6 GFLOP of an image's share in a step, at 20 TFLOP/s. inside, inside_speed:
    a small collective over NVLink and NVSwitch, and their bandwidth. between, between_speed: every
    doubling of the machines over InfiniBand, and one port of 400 Gb/s a machine. machine: GPUs in
    one. slowest: how many times as long as one device alone the slowest of many computes.
    """

    fixed: float = 4e-3
    each: float = 30e-6
    inside: float = 15e-6
    inside_speed: float = 200e9
    between: float = 10e-6
    between_speed: float = 50e9
    machine: int = 8
    slowest: float = 1.0


GIVEN = Assumptions()

STRONG, WEAK = 1024, 128
"""Images in a step of all devices together, and of each device."""

COUNTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)

DOUBTS: dict[str, Assumptions] = {
    "as assumed": GIVEN,
    "collectives start 3 times as slowly": GIVEN._replace(
        inside=3 * GIVEN.inside, between=3 * GIVEN.between
    ),
    "a tenth of the bandwidth between machines": GIVEN._replace(
        between_speed=GIVEN.between_speed / 10
    ),
    "computing 3 times as fast": GIVEN._replace(fixed=GIVEN.fixed / 3, each=GIVEN.each / 3),
    "no fixed time of a step": GIVEN._replace(fixed=0.0),
    "the slowest device computes a fifth longer": GIVEN._replace(slowest=1.2),
}
"""The assumptions, and each of those that the result could hang on changed."""

Traffic = Iterable[tuple[int, int]]
"""Bytes of a collective, and how often it runs in a step."""


def traffic(rows: Iterable[dict[str, Any]]) -> list[tuple[int, int]]:
    """The collectives of a step, as pairs of bytes and the number of times that each runs."""
    return [(row["bytes"], row["times"]) for row in rows]


def collective(size: int, devices: int, given: Assumptions) -> float:
    """Seconds of one collective of so many bytes."""
    if devices == 1:
        return 0.0
    near, machines = min(devices, given.machine), -(-devices // given.machine)
    latency = given.inside + given.between * math.ceil(math.log2(machines))
    ring = 2 * (near - 1) / near * size / given.inside_speed
    return latency + ring + 2 * (machines - 1) / machines * size / given.between_speed


def step(found: Traffic, images: float, devices: int, given: Assumptions = GIVEN) -> float:
    """Seconds of a training step with so many images on each device."""
    computing = (given.fixed + images * given.each) * (given.slowest if devices > 1 else 1)
    return computing + sum(times * collective(size, devices, given) for size, times in found)


def speedup(found: Traffic, devices: int, *, strong: bool, given: Assumptions = GIVEN) -> float:
    """How many times as many images a second as on one device."""
    found, images = list(found), STRONG if strong else WEAK
    if strong:
        return step(found, images, 1, given) / step(found, images / devices, devices, given)
    return devices * step(found, images, 1, given) / step(found, images, devices, given)
