"""Settings of models of depth: each is one of their flags. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from jaxode.checks import SEEDS, Range, require, require_choice
from jaxode.config import RATES, TOLERANCES, check_fields, setting
from jaxode.config.dataset_names import NYU_DEPTH as NYU
from jaxode.config.gradients import GRADIENT_FACTS
from jaxode.config.solvers import SOLVER_FACTS

SIZES = Range(8, 1024)
SIDES = Range(32, 4096)
AUGMENTATIONS = ("flip", "zoom", "rotate", "colour")


@dataclass(frozen=True)
class DepthConfig:
    """What is trained on what. Raises ConfigError on values outside the stated ranges."""

    data: str = setting(
        NYU, f"{NYU} (pictures of 8 bits, 255 being 10 m), or the path of a folder of pairs"
    )
    data_dir: str | None = setting(
        None, "folder of the pairs of a named data set: rgb/, depth/ and splits.json", path=True
    )
    encoder: Literal["odenet", "resnet", "vgg16"] = setting(
        "odenet", "ODE blocks, residual blocks in their place, or VGG-16 with batch norm"
    )
    width: int = setting(48, "channels of the maps of odenet and resnet", SIZES)
    vgg_width: float = setting(0.25, "times the published channels of VGG-16", Range(1 / 64, 4))
    decoder: int = setting(64, "channels of the decoder, a multiple of 32", SIZES)
    loss: Literal["berhu", "scale_invariant"] = setting("berhu", "of differences of log depth")
    augment: str = setting(
        ",".join(AUGMENTATIONS),
        f"any of {', '.join(AUGMENTATIONS)}, joined by commas, for training pictures, or none",
    )
    crop: Literal["eigen", "none"] | None = setting(
        None, f"part of a test picture that is measured (default: eigen of {NYU}, else none)"
    )
    image_height: int | None = setting(
        None, "pixels of the pictures (default: of the first depth map)", SIDES
    )
    image_width: int | None = setting(
        None, "pixels of the pictures (default: of the first depth map)", SIDES
    )
    per_metre: float | None = setting(
        None,
        "value of a metre in a folder's depth maps (default: 1000, for millimetres)",
        Range(1e-3, 1e6),
    )
    test_share: float = setting(0.2, "of a folder's pairs without a split", Range(0.01, 0.9))
    seed: int = setting(0, "seed of parameters, order, augmentation and split", SEEDS)
    epochs: int = setting(30, "passes over the training pictures", Range(1, 10**6))
    batch_size: int = setting(4, "pictures in a step", Range(1, 1 << 20))
    lr: float = setting(1e-3, "learning rate of Adam", RATES)
    weight_decay: float = setting(1e-5, "L2 penalty", RATES._replace(at_least=0))
    schedule: Literal["constant", "cosine"] = setting("cosine", "of the learning rate")
    patience: int = setting(
        0, "end after so many epochs without a better one (0: never)", Range(0, 10**6)
    )
    solver: str = setting("dopri5", "Runge-Kutta method", choices=SOLVER_FACTS)
    rtol: float = setting(1e-2, "relative tolerance of a step", TOLERANCES)
    atol: float = setting(1e-2, "absolute tolerance of a step", TOLERANCES)
    step_size: float | None = setting(None, "fixed step; without it, adaptive", Range(1e-3, 1))
    gradient: str | None = setting(None, "gradient mode (default: tape)", choices=GRADIENT_FACTS)
    per_sample: bool = setting(False, "step sizes of each picture's own")
    resume: bool = setting(False, "go on with the run in --out, with the same settings")

    def __post_init__(self) -> None:
        check_fields(self)
        both = (self.image_height is None) == (self.image_width is None)
        require(both, "image_width", self.image_width, "given with image_height, or neither")
        require(
            self.per_metre is None or self.data != NYU,
            "per_metre", self.per_metre, f"left out for data {NYU}",
        )  # fmt: skip
        for name in self.augmentations:
            require_choice("augment", name, (*AUGMENTATIONS, "none"))

    @property
    def augmentations(self) -> tuple[str, ...]:
        """Names of those that are drawn."""
        names = tuple(self.augment.split(","))
        return () if names == ("none",) else names
