"""Settings of the crossing experiment: each is one of its flags. Standard library only."""

# ruff: noqa: RUF009 - `setting` is dataclasses.field under a shorter name

from __future__ import annotations

from dataclasses import dataclass

from jaxode.checks import SEEDS, Range, require
from jaxode.config import (
    RATES,
    TOLERANCES,
    SolverChoice,
    check_fields,
    names_where,
    setting,
)

MOST_EULER_STEPS = 64
"""More are no large steps any more."""

ADAPTIVE = names_where(adaptive=True)


@dataclass(frozen=True)
class CrossingConfig:
    """What is trained. Raises ConfigError on values outside the stated ranges."""

    seed: int = setting(0, "seed of the initial parameters", SEEDS)
    steps: int = setting(300, "training steps of each field", Range(1, 10**6))
    lr: float = setting(0.01, "learning rate of Adam, which falls to zero along a cosine", RATES)
    hidden: int = setting(32, "units of each of a field's two hidden layers", Range(1, 4096))
    solver: SolverChoice = setting(
        "dopri5",
        "solver of the exact flow, with adaptive steps: " + ", ".join(ADAPTIVE),
        choices=ADAPTIVE,
    )
    rtol: float = setting(1e-6, "relative tolerance of the exact flow", TOLERANCES)
    atol: float = setting(1e-6, "absolute tolerance of the exact flow", TOLERANCES)
    euler_steps: int = setting(
        2, "steps of Euler's method over t in [0, 1]", Range(1, MOST_EULER_STEPS)
    )
    augment_dims: int = setting(
        1, "dimensions, zero at the start, that the augmented state has more", Range(1, 1024)
    )

    def __post_init__(self) -> None:
        check_fields(self)
        require(self.solver in ADAPTIVE, "solver", self.solver, "one of " + ", ".join(ADAPTIVE))
