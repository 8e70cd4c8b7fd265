"""What one side has and the other cannot follow."""

from __future__ import annotations

from scripts.parity.measure import Row

_REASONS: list[tuple[str, str, str, float | None, str]] = [
    ("scipy_solver", "", "float64", None, "runs outside of both frameworks and gives no gradient"),
    ("rk4_classic", "", "float64", None, "torchdiffeq 0.2.5 has Kutta's 3/8 rule only"),
    ("tsit5", "", "float64", None, "not in torchdiffeq 0.2.5; later it runs at order 4"),
    ("kvaerno3", "", "float64", None, "torchdiffeq has no implicit Runge-Kutta method"),
    (
        "dopri8",
        "direct",
        "float64",
        1e-6,
        (
            "a ReLU field: where a kink falls near a stage, the step sizes amplify rounding;"
            " compared down to 1e-3, and below on a field away from its kinks"
        ),
    ),
    (
        "dopri5",
        "",
        "float32",
        None,
        "torchdiffeq's time in float64 beside a state in float32: ours has the state's type",
    ),
]
"""Solver, gradient, type, tolerance, and why."""


def unreachable() -> list[Row]:
    """Rows that cannot be measured, each with its reason."""
    return [
        Row("ODE block", solver, gradient, "torchdiffeq", dtype, tolerance, reason=reason)
        for solver, gradient, dtype, tolerance, reason in _REASONS
    ]
