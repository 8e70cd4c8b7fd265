"""Training on every GPU of the machine, under jit and under pmap."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import jax

from scripts.gpu.row import Row, Size
from scripts.gpu.short_training import trained


def measure(parallel: str, size: Size, out: Path) -> Iterator[Row]:
    """A row of a short training with `--parallel jit` or pmap."""
    del out
    count = len(jax.devices())
    batch = -(-max(4, size.batch // 4) // count) * count  # the next that the devices divide
    flags = f"--parallel {parallel} --devices {count}"
    name = f"training on {count} device{'s' * (count > 1)}"
    yield trained(f"devices {parallel}", name, size, batch, flags)
