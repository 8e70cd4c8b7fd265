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
    DEFAULTS,
    FRAMEWORKS,
    JAXODE,
    JOINT,
    NOTES,
    OWN_STEPS,
    PRODUCTS,
    STOCK,
    TORCHODE,
    Case,
)
from scripts.bench.rows import FAILED, NOT_COMPARED, Row, provenance
from scripts.bench.sides import Outcome, Problem, Ready, pose
from scripts.bench.timing import in_turn, ratios, reason, spread
from scripts.parity.bounds import BOUNDS
from scripts.parity.measure import relative

GRADIENTS = {"exact": 5e-2, "backsolve": BOUNDS["float32", "backsolve"].limit}
"""Largest relative error of a gradient at which both sides still do the same work.

That their numbers are the same is the parity map's matter, in float64. In float32, rounding
switches ReLUs of values near zero: at batch 32, PyTorch's own gradient of an ODENet is 1.7e-3 away
from that in float64, and one value of 3e-7 in a ResNet 6 moves ours by 1.1e-2; in float64 both
sides agree within 2e-15.
"""

ROUNDED = {"tf32": (5e-3, 0.2), "bfloat16": (2e-2, 0.6)}
"""The same for outputs and gradients of low precision: some three to ten times what rounding does
by itself at batch 128, where logits are 2e-4 (10 bits, TF32's and float16's) and 1.4e-3 (bfloat16's
7) from float64's, and gradients, by switched ReLUs, 6e-2 and 0.18.
"""

COUNTED = ("nfe_forward", "accepted", "rejected")


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


def compare(
    case: Case,
    rows: Mapping[str, Row],
    sides: Mapping[str, Ready],
    seconds: Mapping[str, list[float]],
    side: str,
) -> None:
    """Put the ratio of a rival's time to ours into its row, or the reason why there is none.

    Args:
      case: what was computed.
      rows: by side; the rival's is changed in place.
      sides: that ran.
      seconds: times of a step by side, in the order of the rounds.
      side: the rival.
    """
    row = rows[side]
    if row.status == FAILED:
        return
    if rows[JAXODE].status == FAILED:
        row.status, row.reason = NOT_COMPARED, "jaxode's side failed"
        return
    problems = disagreement(case, side, sides[JAXODE].outcome, sides[side].outcome)
    if row.device.split(":")[0] != rows[JAXODE].device.split(":")[0]:
        problems.append(f"another kind of device, {row.device} against {rows[JAXODE].device}")
    if problems:
        row.status, row.reason = NOT_COMPARED, "; ".join(problems)
        return
    row.ratio_median, row.ratio_min, row.ratio_max = spread(ratios(seconds[side], seconds[JAXODE]))
    row.reason = "; ".join(
        text for text in (NOTES[side] if side in OWN_STEPS else "", row.reason) if text
    )


def disagreement(case: Case, side: str, ours: Outcome, theirs: Outcome) -> list[str]:
    """The differences between a rival's numbers and ours.

    Args:
      case: what was computed.
      side: the rival; some choose their own steps, so that only outputs are compared.
      ours: jaxode's outcome.
      theirs: the rival's.

    Returns:
      One text for each difference; none if the times can be compared.
    """
    problems = []
    free, own_end = side in OWN_STEPS, side == DEFAULTS and case.backward_solve
    # Where steps or their ends differ, so do the outputs, by what the tolerance allows in every
    # step.
    limit, limit_of_gradient = BOUNDS["float32", "output"].limit, GRADIENTS[_kind(case)]
    if case.precision in ROUNDED:
        limit, limit_of_gradient = ROUNDED[case.precision]
    if free or own_end:
        limit = max(0.1, 10 * case.tolerance)
    error = relative([ours.output], [theirs.output])
    if not error <= limit:
        problems.append(f"outputs differ by {error:.1e}, above {limit:g}")
    if (
        ours.loss is not None
        and theirs.loss is not None
        and not abs(ours.loss - theirs.loss) <= limit * abs(ours.loss)
    ):
        problems.append(f"loss {theirs.loss:g} against {ours.loss:g}")
    if free:
        return problems
    problems += [
        f"{name.replace('_', ' ')} {getattr(theirs, name)} against {getattr(ours, name)}"
        for name in COUNTED
        if getattr(ours, name) != getattr(theirs, name)
    ]
    if ours.gradient is not None and theirs.gradient is not None and side != DEFAULTS:
        names = sorted(ours.gradient)
        error = relative(
            [ours.gradient[name] for name in names], [theirs.gradient[name] for name in names]
        )
        if not error <= limit_of_gradient:
            problems.append(f"gradients differ by {error:.1e}, above {limit_of_gradient:g}")
    return problems


def _kind(case: Case) -> str:
    return "backsolve" if case.mode and case.backward_solve else "exact"
