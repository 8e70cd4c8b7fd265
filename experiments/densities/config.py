"""Settings of density estimation: each is one of its flags. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from jaxode.checks import SEEDS, Range, require
from jaxode.config import RATES, TOLERANCES, Regularisers, check_fields, setting
from jaxode.config.gradients import GRADIENT_FACTS
from jaxode.config.solvers import SOLVER_FACTS

PLANE = ("circles", "moons", "8gaussians", "rings", "checkerboard", "pinwheel")
TABLES = {
    "red_wine": "winequality-red.csv",
    "white_wine": "winequality-white.csv",
    "bsds300": "patches.npz.xz",
}
"""The file of each table in --data-dir."""


@dataclass(frozen=True)
class DensityConfig:
    """What is trained on what. Raises ConfigError on values outside the stated ranges."""

    target: str = setting(
        "circles", f"{', '.join((*PLANE, *TABLES))}, or the path of an .npy file [N, D]"
    )
    data_dir: str | None = setting(None, "folder of the files of a table", path=True)
    fold: int = setting(0, "tenth of a table's points to test with", Range(0, 9))
    validation: float = setting(
        0.0, "part of a table's training points to choose the best epoch by", Range(0, 0.5)
    )
    patience: int = setting(
        0, "end after so many epochs without a better one (0: never)", Range(0, 10**6)
    )
    seed: int = setting(0, "seed of parameters, points and noise", SEEDS)
    epochs: int = setting(10, "parts of the training, each with an evaluation", Range(1, 10**6))
    steps: int = setting(100, "steps of an epoch with fresh points", Range(1, 10**6))
    batch_size: int = setting(512, "points in a step", Range(1, 1 << 20))
    test_points: int = setting(10_000, "fresh points of the test", Range(10, 10**7))
    lr: float = setting(1e-3, "learning rate of Adam", RATES)
    weight_decay: float = setting(0.0, "L2 penalty", RATES._replace(at_least=0))
    schedule: Literal["constant", "cosine"] = setting("constant", "of the learning rate")
    field: Literal["hypernetwork", "concatsquash"] = setting(
        "hypernetwork", "hypernetwork: cnf.py of torchdiffeq; concatsquash: FFJORD"
    )
    hidden: str | None = setting(
        None, "sizes of hidden layers, joined by commas (default: 32; 64,64,64 of concatsquash)"
    )
    width: int = setting(64, "units of the hypernetwork's field", Range(1, 4096))
    activation: Literal["tanh", "softplus", "elu"] = setting("tanh", "of the concatsquash field")
    divergence: Literal["exact", "gaussian", "rademacher"] = setting(
        "exact", "exact, or Hutchinson's estimate with such noise in training"
    )
    solver: str = setting("dopri5", "Runge-Kutta method", choices=SOLVER_FACTS)
    rtol: float = setting(1e-5, "relative tolerance of a step", TOLERANCES)
    atol: float = setting(1e-5, "absolute tolerance of a step", TOLERANCES)
    gradient: str | None = setting(None, "gradient mode (default: tape)", choices=GRADIENT_FACTS)
    stepping: Literal["diffrax", "torchdiffeq"] = setting("diffrax", "whose step control")
    regularise: str | None = setting(
        None,
        "NAME=WEIGHT in training, joined by commas or in several flags: kinetic, jacobian, steer,"
        " weight_decay or error, as of the classifiers",
        joined=True,
    )
    resume: bool = setting(False, "go on with the run in --out, with the same settings")

    def __post_init__(self) -> None:
        check_fields(self)
        Regularisers.read(self.regularise)  # raises ConfigError
        named = self.target in (*PLANE, *TABLES)
        allowed = f"one of {', '.join((*PLANE, *TABLES))}, or the path of an .npy file"
        require(named or self.target.endswith(".npy"), "target", self.target, allowed)
        needed = self.target in TABLES
        given = self.data_dir is not None or not needed
        require(given, "data_dir", self.data_dir, f"given for target {self.target}")
        drawn = self.target in PLANE and self.validation > 0
        require(not drawn, "validation", self.validation, "0 for points that are drawn anew")
