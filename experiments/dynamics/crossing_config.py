"""Settings of the crossing experiment: each is one of its flags. Standard library only."""
# ruff: noqa: RUF009 - `setting` is dataclasses.field under a shorter name

from __future__ import annotations

from dataclasses import dataclass

from jaxode.checks import require, require_count, require_positive
from jaxode.config import FIXED_STEP_ONLY, SolveConfig, SolverName, setting

MOST_EULER_STEPS = 64
"""More are no large steps any more."""

ADAPTIVE = tuple(name for name in SolverName.__args__ if name not in FIXED_STEP_ONLY)  # type: ignore[attr-defined]


@dataclass(frozen=True)
class CrossingConfig:
    """What is trained. Raises ConfigError on values outside the stated ranges."""

    seed: int = setting(0, "seed of the initial parameters")
    steps: int = setting(300, "training steps of each field")
    lr: float = setting(0.01, "learning rate of Adam, which falls to zero along a cosine")
    hidden: int = setting(32, "units of each of a field's two hidden layers")
    solver: SolverName = setting("dopri5", "solver of the exact flow, with adaptive steps: " + ", ".join(ADAPTIVE))
    rtol: float = setting(1e-6, "relative tolerance of the exact flow")
    atol: float = setting(1e-6, "absolute tolerance of the exact flow")
    euler_steps: int = setting(2, "steps of Euler's method over t in [0, 1]")
    augment_dims: int = setting(1, "dimensions, zero at the start, that the augmented state has more")

    def __post_init__(self) -> None:
        require_count("seed", self.seed, at_least=0)
        require(self.seed < 2**32, "seed", self.seed, "below 2**32")
        for name in ("steps", "hidden", "euler_steps", "augment_dims"):
            require_count(name, getattr(self, name))
        require(self.euler_steps <= MOST_EULER_STEPS, "euler_steps", self.euler_steps, f"at most {MOST_EULER_STEPS}")
        require_positive("lr", self.lr)
        require(self.solver in ADAPTIVE, "solver", self.solver, "one of " + ", ".join(ADAPTIVE))
        SolveConfig(solver=self.solver, rtol=self.rtol, atol=self.atol)
