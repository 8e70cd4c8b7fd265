"""Cells of the parity map with jaxode on the GPU and PyTorch on the CPU."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import jax

from scripts.gpu.row import TINY, Row, Size
from scripts.parity.cells import Cell, cells
from scripts.parity.measure import PASS
from scripts.parity.measure import measure as measure_cell

CORE = (
    "ODE-block-dopri5-tape-torchdiffeq-0.001-float64",
    "ODENet-1,-grey-dopri5-tape-torchdiffeq-0.001-float64",
    "ODE-block-dopri5-backsolve-torchdiffeq-0.001-float64",
    "ODE-block-dopri5-tape-torchdiffeq-0.001-float32",
    "ResNet-2,-grey-float64",
    "ODE-block-dopri5-checkpointed-torchdiffeq-0.001-float64",
    "ODE-block-dopri5-backsolve-torchdiffeq-0.001-float32",
    "downsampling-float64",
)
"""Names of the cells, those of most worth first."""


def core() -> list[Cell]:
    """The cells. Raises KeyError if the map no longer holds one."""
    by_name = {cell.name: cell for cell in cells()}
    return [by_name[name] for name in CORE]


def measure(_: str, size: Size, out: Path) -> Iterator[Row]:
    """Rows of the core cells, of a rehearsal the first alone; their sizes are those of the map."""
    del out
    for cell in core()[: 1 if size == TINY else None]:
        with jax.enable_x64(True):
            found = measure_cell(cell)
        note = "" if found.status == PASS else found.reason
        for what, value in (("output", found.output_error), ("gradient", found.gradient_error)):
            yield Row(
                "parity",
                f"{cell.name}: {what}",
                value,
                "relative error",
                passed=found.status == PASS,
                note=note,
            )
        jax.clear_caches()
