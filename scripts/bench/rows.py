"""A row of the results: one side in one case."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import Any

from jaxode.runs.provenance import commit, versions

MEASURED, NOT_COMPARED, FAILED = "measured", "not compared", "failed"
"""Timed, and compared where it is a rival; timed, but of other steps or numbers; not timed."""


@dataclass
class Row:
    """What `benchmark.json` holds of one side. Times are a call's, in milliseconds.

    `ratio_` is this side's time over jaxode's within each round. `error` is that of the
    final state against the reference, `outside_ms_per_step` the time of an accepted step less that
    of the field's evaluations, `others_busy` how many cores worked for other processes meanwhile.
    `gflops` are the convolutions' operations by their definition in a second, and `ceiling_share`
    is the share of the processor's ceiling that those really done take
    (`scripts.bench.arithmetic`).
    """

    case: str
    group: str
    framework: str
    variant: str
    model: str
    work: str
    gradient: str
    batch: int
    tolerance: float | None
    width: int
    runs: int
    threads: int
    status: str = MEASURED
    reason: str = ""
    ms_median: float | None = None
    ms_min: float | None = None
    ms_max: float | None = None
    ratio_median: float | None = None
    ratio_min: float | None = None
    ratio_max: float | None = None
    images_per_second: float | None = None
    compile_seconds: float | None = None
    memory_mb: float | None = None
    loss: float | None = None
    nfe_forward: int | None = None
    nfe_backward: int | None = None
    accepted: int | None = None
    rejected: int | None = None
    error: float | None = None
    outside_ms_per_step: float | None = None
    others_busy: float | None = None
    device: str = ""
    commit: str | None = None
    date: str = ""
    versions: dict[str, Any] = field(default_factory=dict)
    precision: str = "float32"
    kernels: str = ""
    gflops: float | None = None
    ceiling_share: float | None = None


PACKAGES = ("torch", "torchdiffeq", "torchode")


@functools.cache
def provenance() -> dict[str, Any]:
    """Commit and versions of all that a row depends on."""
    return {"commit": commit(), "versions": versions(*PACKAGES)}
