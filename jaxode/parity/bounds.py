"""The table of tolerances: how far two implementations may differ, and why."""

from __future__ import annotations

from typing import NamedTuple

from jaxode.config.gradients import gradient_facts


class Bound(NamedTuple):
    """Largest global relative error ‖a − b‖₂ / ‖b‖₂ over all numbers of a kind."""

    limit: float
    reason: str


_STEPS = "rounding, grown by the steps; both sides take the same ones"

BOUNDS: dict[tuple[str, str], Bound] = {
    ("float64", "output"): Bound(1e-11, _STEPS),
    ("float64", "exact"): Bound(
        1e-10, "as the output, and the backward sweep through the same steps"
    ),
    ("float64", "backsolve"): Bound(
        1e-9,
        "the state is solved backward along with its adjoint, which amplifies rounding once more",
    ),
    ("float64", "training"): Bound(
        1e-9, "the losses of 100 steps: rounding in each, carried on by the next"
    ),
    ("float32", "output"): Bound(
        1e-4, "torchdiffeq keeps the time in float64, we in the state's type"
    ),
    ("float32", "exact"): Bound(
        1e-3, "as the output; ReLUs of values near zero switch either way by rounding"
    ),
    ("float32", "backsolve"): Bound(
        1e-1,
        "loose: rounding enters the adjoint's error estimate, so the two sides take different"
        " backward steps, and each gradient has its own error of the order of the tolerance",
    ),
}
"""By type and quantity: "output"; gradients that are "exact", or by "backsolve"; losses of a
"training" trajectory.
"""


def gradient_bound(dtype: str, gradient: str) -> Bound:
    """The bound on gradients found by a mode; a part without a solve has exact ones."""
    backward = bool(gradient) and gradient_facts(gradient).backward_solve
    return BOUNDS[dtype, "backsolve" if backward else "exact"]
