"""The benchmark's cases that matter on a GPU, those of most worth first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import jax

from scripts import benchmark
from scripts.bench import report
from scripts.bench.cases import CHANNELS_LAST, COMPILED, SAME, STOCK, Case
from scripts.bench.measure import measure as measure_case
from scripts.bench.rows import FAILED, MEASURED
from scripts.bench.rows import Row as BenchmarkRow
from scripts.gpu.row import Row, Size

AIMS = {128: 3.0, 1024: 1.5}
"""Least ratio of PyTorch's time and ours of a training step of an ODENet, by batch size."""


def cases(size: Size) -> list[Case]:
    """The cases, in the order in which they are measured."""
    base = Case("gradient", batch=size.batch, width=size.width)
    found = [base]
    found += [replace(base, group="batch", batch=batch) for batch in size.batches[:1]]
    found += [replace(base, group="arithmetic", precision=name) for name in ("bfloat16", "tf32")]
    found += [
        replace(base, gradient="backsolve"),
        replace(base, group="resnet", model="resnet", blocks=6),
        replace(base, group="inference", work="inference"),
        replace(base, group="colour", channels=3),
    ]
    for batch in size.batches[1:]:
        found.append(replace(base, group="batch", batch=batch))
    for batch in size.batches:
        found += [
            replace(base, group="arithmetic", batch=batch, precision=name)
            for name in ("bfloat16", "tf32")
        ]
    found += [
        replace(base, group="compiled", rivals=(COMPILED,)),
        replace(base, group="channels last", rivals=(CHANNELS_LAST,)),
        replace(base, group="stock", rivals=(STOCK,), runs=3),
    ]
    return found


def measure(_: str, size: Size, out: Path) -> Iterator[Row]:
    """Rows of each case: our milliseconds, and a rival's time over ours.

    The benchmark's own rows, tables and picture go into the folder `benchmark` of `out`, after
    every case.
    """
    out, threads = out / "benchmark", len(benchmark.available())
    out.mkdir(exist_ok=True)
    stored: list[BenchmarkRow] = []
    for case in cases(size):
        with benchmark.same_arithmetic(case.precision):
            fresh = measure_case(case, size.runs, threads)
        stored += fresh
        report.write(stored, out, "python -m scripts.gpu_check")
        jax.clear_caches()
        ours = fresh[0]
        if ours.status == FAILED:
            yield Row("speed", case.name, passed=False, note=ours.reason)
            continue
        yield Row("speed", f"{case.name}: jaxode", ours.ms_median, "ms")
        for rival in fresh[1:]:
            aimed = case.group in ("gradient", "batch") and SAME in case.rivals
            yield Row(
                "speed",
                f"{case.name}: {rival.framework} {rival.variant} / jaxode".replace("  ", " "),
                rival.ratio_median,
                "x",
                aim=AIMS.get(case.batch) if aimed else None,
                note=rival.reason if rival.status != MEASURED else "",
            )
