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

IMAGES = ("mnist", "fashion_mnist")
NAMED = (*PLANE, *TABLES, *IMAGES)

OF_IMAGES = {
    "strides": None, "scales": 1, "blocks": 1, "limit_train": 0, "limit_test": 0,
    "exact_images": 0,
}  # fmt: skip
"""Defaults of the settings that only images have."""


@dataclass(frozen=True)
class DensityConfig:
    """What is trained on what. Raises ConfigError on values outside the stated ranges."""

    target: str = setting("circles", f"{', '.join(NAMED)}, or the path of an .npy file [N, D]")
    data_dir: str | None = setting(None, "folder of the files of a table or images", path=True)
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
    field: Literal["hypernetwork", "concatsquash", "concat"] | None = setting(
        None,
        "hypernetwork: cnf.py of torchdiffeq; concatsquash: FFJORD; concat: of images alone"
        " (default: hypernetwork, concat of images)",
    )
    hidden: str | None = setting(
        None,
        "sizes of hidden layers, joined by commas (default: 32; 64,64,64 of concatsquash; 8,32,32,8"
        " channels of images, 64,64,64 on several scales)",
    )
    strides: str | None = setting(
        None,
        "of the convolutions of images: 1, 2 or -2, one more than hidden (default: 2,2,1,-2,-2; 1"
        " throughout on several scales)",
    )
    scales: int = setting(1, "of images: 3 is FFJORD's multiscale flow of 28 x 28", Range(1, 8))
    blocks: int = setting(1, "ODEs in a row, of images", Range(1, 32))
    limit_train: int = setting(0, "use so many training images (0: all)", Range(0, 10**7))
    limit_test: int = setting(0, "use so many test images (0: all)", Range(0, 10**7))
    exact_images: int = setting(
        0, "test images whose exact divergence is computed at the end", Range(0, 10**4)
    )
    width: int = setting(64, "units of the hypernetwork's field", Range(1, 4096))
    activation: Literal["tanh", "softplus", "elu"] | None = setting(
        None, "of the concatsquash and concat fields (default: tanh, softplus of images)"
    )
    divergence: Literal["exact", "gaussian", "rademacher"] | None = setting(
        None,
        "exact, or Hutchinson's estimate with such noise in training; of images in evaluation too"
        " (default: exact, rademacher of images)",
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
        named = self.target in NAMED
        allowed = f"one of {', '.join(NAMED)}, or the path of an .npy file"
        require(named or self.target.endswith(".npy"), "target", self.target, allowed)
        needed = self.target in TABLES
        given = self.data_dir is not None or not needed
        require(given, "data_dir", self.data_dir, f"given for target {self.target}")
        drawn = self.target in PLANE and self.validation > 0
        require(not drawn, "validation", self.validation, "0 for points that are drawn anew")
        if self.target in IMAGES:
            require(self.field != "hypernetwork", "field", self.field, "of images, or left out")
            noise = self.divergence != "exact"
            require(noise, "divergence", self.divergence, "gaussian or rademacher for images")
            return
        require(self.field != "concat", "field", self.field, "hypernetwork or concatsquash")
        for name, default in OF_IMAGES.items():
            value = getattr(self, name)
            require(value == default, name, value, f"left out for target {self.target}")
