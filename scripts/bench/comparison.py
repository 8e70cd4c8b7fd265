"""A rival's time beside ours, where both have computed the same."""

from __future__ import annotations

from collections.abc import Mapping

from scripts.bench.cases import JAXODE, NOTES, OWN_STEPS, Case
from scripts.bench.rows import FAILED, NOT_COMPARED, Row
from scripts.bench.sides import Outcome, Ready
from scripts.bench.timing import ratios, spread
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
    free = side in OWN_STEPS
    # Where steps differ, so do the outputs, by what the tolerance allows in every step.
    limit, limit_of_gradient = BOUNDS["float32", "output"].limit, GRADIENTS[_kind(case)]
    if case.precision in ROUNDED:
        limit, limit_of_gradient = ROUNDED[case.precision]
    if free:
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
    if ours.gradient is not None and theirs.gradient is not None:
        names = sorted(ours.gradient)
        error = relative(
            [ours.gradient[name] for name in names], [theirs.gradient[name] for name in names]
        )
        if not error <= limit_of_gradient:
            problems.append(f"gradients differ by {error:.1e}, above {limit_of_gradient:g}")
    return problems


def _kind(case: Case) -> str:
    return "backsolve" if case.mode and case.backward_solve else "exact"
