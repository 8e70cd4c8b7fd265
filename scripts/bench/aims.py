"""The ratios to other frameworks that the benchmark aims at, and when times are to be trusted."""

from __future__ import annotations

from jaxode.config.gradients import gradient_facts
from scripts.bench.cases import DEFAULT_MODE, SAME
from scripts.bench.rows import Row

BUSY = 0.2
"""Cores at work for others from which on times are not to be trusted: threads that wait for each
other lose most.
"""

AIMS = {
    ("gradient", "tape"): 2.3,
    ("gradient", "backsolve"): 2.7,
    ("inference", "inference"): 3.3,
    ("resnet", "training"): 2.2,
    ("resnet", "inference"): 2.4,
}
"""Ratios to PyTorch with the same steps on a CPU with the native kernels, by group and gradient or
work.
"""

SWEPT, LEAST_BATCH = ("batch", "tolerance", "width", "colour"), 32
"""Groups whose rows of the default gradient mode should all be at 2, from this batch on."""


def aim(row: Row) -> float | None:
    """The ratio that was aimed at for a rival's row; None where none was."""
    if row.framework == "flax and diffrax":
        return 5.0
    if row.framework != "PyTorch" or row.variant != SAME:
        return None
    if not row.device.startswith("cpu"):
        main = row.group in ("gradient", "inference", "resnet")
        adjoint = bool(row.gradient) and gradient_facts(row.gradient).backward_solve
        return (1.2 if adjoint else 1.0) if main else None
    if row.group in SWEPT and row.gradient == DEFAULT_MODE and row.batch >= LEAST_BATCH:
        return 2.0
    return AIMS.get((row.group, row.gradient or row.work))


def busy(row: Row) -> bool:
    """Whether other processes used so much of the machine that the times are not reliable."""
    return (row.others_busy or 0.0) > BUSY
