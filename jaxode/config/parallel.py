"""How a step is spread over devices and time.

Every field is one command-line flag, with its help text next to its default.
"""

# ruff: noqa: RUF009 - `setting` is dataclasses.field under a shorter name

from __future__ import annotations

from dataclasses import dataclass

from jaxode.checks import Range
from jaxode.config.choices import ParallelName
from jaxode.config.fields import check_fields, setting

MOST_DEVICES = 256
"""Of one process.

So many virtual devices of a CPU start in about 10 s; no host has more accelerators.
"""

BATCHES = Range(1, 2**20)
"""Examples of a batch, and micro-batches that it is split into."""

EPOCHS = Range(1, 10**6)
"""Passes over the training split."""


@dataclass(frozen=True)
class ParallelConfig:
    """How a step is spread over devices and time.

    Args:
      parallel: "jit" for one program and one step size over all devices, "pmap" for a solve of its
        own on every device.
      devices: devices of each process, 1 to 256; None for all.
      accumulate: micro-batches of a batch, whose gradients are accumulated; 1 to 2²⁰.

    Raises:
      ConfigError: a value outside its range.

    Example:
      >>> from jaxode.config import ParallelConfig
      >>> ParallelConfig(accumulate=4).parallel
      'jit'
    """

    parallel: ParallelName = setting(
        "jit",
        "jit: one step size for the whole batch on all devices; pmap: every device solves its part"
        " with step sizes of its own",
    )
    devices: int | None = setting(
        None,
        "devices that each process uses (default all; on a CPU, N virtual ones)",
        Range(1, MOST_DEVICES),
    )
    accumulate: int = setting(
        1, "micro-batches of a batch, whose gradients are accumulated, for less memory", BATCHES
    )

    def __post_init__(self) -> None:
        check_fields(self)
