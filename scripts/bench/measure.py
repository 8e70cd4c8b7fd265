"""One case measured: every side made ready, what they compute compared, then timed in turn."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from jaxode.config import KernelsName
from jaxode.nn.kernels import kernels_name
from scripts.bench import arithmetic, jax_side, load, stock, torch_side, torchode_side
from scripts.bench.cases import (
    FRAMEWORKS,
    JAXODE,
    JOINT,
    OWN_STEPS,
    PRODUCTS,
    STOCK,
    TORCHODE,
    Case,
)
from scripts.bench.comparison import COUNTED, compare
from scripts.bench.rows import FAILED, Row, provenance
from scripts.bench.sides import Problem, Ready, pose
from scripts.bench.timing import in_turn, reason, spread
from scripts.parity.measure import relative


def make(case: Case, problem: Problem, side: str) -> Ready:
    """One side of a case, compiled and run once."""
    if side == JAXODE:
        return jax_side.ready(case, problem, count=case.group == "gradient")
    if side == JOINT:
        return jax_side.ready(replace(case, per_sample=False), problem)
    if side == PRODUCTS:
        return jax_side.ready(case, problem, kernels="matmul")
    if side == STOCK:
        return stock.ready(case, problem)
    if side == TORCHODE:
        return torchode_side.ready(case, problem)
    return torch_side.ready(case, problem, side)


def measure(case: Case, runs: int, threads: int, maker: Callable[..., Ready] = make) -> list[Row]:
    """Measure a case: all sides in turn, their numbers compared first.

    Args:
      case: what is computed.
      runs: rounds, unless the case has a number of its own.
      threads: stated in the rows.
      maker: makes a side ready to be timed.

    Returns:
      A row for each side, jaxode's first. The row of a side that cannot run has the reason.
    """
    rows = blanks(case, runs, threads)
    problem = pose(case)
    sides: dict[str, Ready] = {}
    for side in rows:
        try:
            sides[side] = maker(case, problem, side)
        except Exception as error:
            rows[side].status, rows[side].reason = FAILED, reason(error)
    calls: dict[str, Callable[[], Any]] = {side: ready.run for side, ready in sides.items()}
    calls |= {f"{side} field": ready.field for side, ready in sides.items() if ready.field}
    before = load.mark()
    seconds, failures = in_turn(calls, rows[JAXODE].runs)
    busy = load.others(before)
    for side, ready in sides.items():
        if side in seconds:
            seconds[side] = [value / ready.steps for value in seconds[side]]
    for side, text in failures.items():
        name = side.removesuffix(" field")
        rows[name].status, rows[name].reason = FAILED, text
    reference = None
    if case.work == "solve":
        try:
            reference = exact(replace(case, tolerance=1.0, rivals=()))
        except Exception as error:
            rows[JAXODE].reason = f"no error known, the reference failed: {reason(error)}"
    for side, ready in sides.items():
        if rows[side].status != FAILED:
            fill(rows[side], ready, seconds, side, reference)
            rows[side].others_busy = busy
            bound(case, rows[side], ready, side)
    for side in case.rivals:
        compare(case, rows, sides, seconds, side)
    return list(rows.values())


@functools.lru_cache(maxsize=1)
def exact(case: Case) -> np.ndarray:
    """The reference's final state, which is the same at all tolerances."""
    return torch_side.reference(case, pose(case))


def blanks(case: Case, runs: int, threads: int) -> dict[str, Row]:
    """A row without figures for every side."""
    return {
        side: _blank(case, side, min(runs, case.runs or runs), threads)
        for side in (JAXODE, *case.rivals)
    }


def _blank(case: Case, side: str, runs: int, threads: int) -> Row:
    return Row(
        case=case.name,
        group=case.group,
        framework=FRAMEWORKS.get(side, "PyTorch"),
        variant="" if side in FRAMEWORKS else side,
        model=case.title,
        work=case.work,
        gradient=case.mode,
        batch=case.batch,
        tolerance=case.tolerance if case.solves else None,
        width=case.width,
        runs=runs,
        threads=threads,
        precision=case.precision,
        date=time.strftime("%Y-%m-%d"),
        **provenance(),
    )


def fill(
    row: Row,
    ready: Ready,
    seconds: Mapping[str, list[float]],
    side: str,
    reference: np.ndarray | None,
) -> None:
    """Put the figures of one side into its row.

    Args:
      row: changed in place.
      ready: the side.
      seconds: times of a step by side, in the order of the rounds.
      side: its name.
      reference: the final state at negligible error, where errors are measured.
    """
    times, outcome = spread(seconds[side]), ready.outcome
    row.ms_median, row.ms_min, row.ms_max = (1e3 * value for value in times)
    row.images_per_second = row.batch / times.median
    row.compile_seconds, row.memory_mb, row.device = (
        ready.setup_seconds,
        ready.memory_mb,
        ready.device,
    )
    row.loss, row.nfe_backward = outcome.loss, outcome.nfe_backward
    row.nfe_forward, row.accepted, row.rejected = (getattr(outcome, name) for name in COUNTED)
    row.reason = "; ".join(text for text in (row.reason, ready.note) if text)
    if reference is not None:
        row.error = relative([outcome.output], [reference])
    if ready.field and outcome.accepted:
        outside = [a - b for a, b in zip(seconds[side], seconds[f"{side} field"], strict=True)]
        row.outside_ms_per_step = 1e3 * spread(outside).median / outcome.accepted


def bound(case: Case, row: Row, ready: Ready, side: str) -> None:
    """Write into a row which kernels ran, and their share of the processor's ceiling."""
    ours = side in (JAXODE, PRODUCTS, JOINT)
    kernels: KernelsName | None = None
    if ours:
        kernels = "matmul" if side == PRODUCTS else kernels_name(precision=case.precision)
        row.kernels = kernels
    steps_known = side == JAXODE or side not in OWN_STEPS
    if (
        case.per_sample
        or not steps_known
        or not row.device.startswith("cpu")
        or row.ms_median is None
    ):
        return
    counted = arithmetic.operations(case, ready.outcome, kernels)
    if counted is not None:
        whole, done = counted
        row.gflops = whole / row.ms_median / 1e6
        row.ceiling_share = 1e3 * done / row.ms_median / arithmetic.ceiling()
