"""What one side has and the other cannot follow."""

from __future__ import annotations

from scripts.parity.measure import Row

_FALSE_FSAL = (
    "torchdiffeq takes its last stage for the next step's first, which this method's is not"
)

_REASONS: list[tuple[str, str, str, float | None, str]] = [
    ("adaptive_heun", "", "float64", None, _FALSE_FSAL),
    ("fehlberg2", "", "float64", None, _FALSE_FSAL),
    ("explicit_adams", "", "float64", None, "Diffrax has no multistep methods"),
    ("implicit_adams", "", "float64", None, "Diffrax has no multistep methods"),
    ("scipy_solver", "", "float64", None, "runs outside of both frameworks and gives no gradient"),
    ("rk4_classic", "", "float64", None, "torchdiffeq 0.2.5 has Kutta's 3/8 rule only"),
    ("tsit5", "", "float64", None, "not in torchdiffeq 0.2.5; later it runs at order 4"),
    ("kvaerno3", "", "float64", None, "torchdiffeq has no implicit Runge-Kutta method"),
    (
        "dopri5",
        "backsolve",
        "float64",
        None,
        (
            "with steps past the end in the adjoint: Diffrax allows no event in a solve that it"
            " reverses; compared where both solves stop at their ends"
        ),
    ),
    (
        "dopri5",
        "direct",
        "float64",
        None,
        (
            "with the gradient through the choice of the first step, which torchdiffeq takes and"
            " Diffrax stops; compared with that step as a number"
        ),
    ),
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
        "torchdiffeq's time in float64 beside a state in float32: Diffrax would promote the state",
    ),
]
"""Solver, gradient, type, tolerance, and why."""


def unreachable() -> list[Row]:
    """Rows that cannot be measured, each with its reason."""
    return [
        Row("ODE block", solver, gradient, "torchdiffeq", dtype, tolerance, reason=reason)
        for solver, gradient, dtype, tolerance, reason in _REASONS
    ]
