"""Settings of detectors: each is one of the experiment's flags. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from jaxode.checks import SEEDS, Range, require
from jaxode.config import RATES, TOLERANCES, check_fields, setting
from jaxode.config.gradients import GRADIENT_FACTS
from jaxode.config.solvers import SOLVER_FACTS

AUGMENTATIONS = ("flip", "resize", "crop", "colour")
SIDES = Range(32, 4096)
COUNTS = Range(1, 65536)


@dataclass(frozen=True)
class DetectionConfig:
    """What is trained on what. Raises ConfigError on values outside the stated ranges."""

    data: Literal["bccd", "voc"] = setting(
        "bccd", "bccd: blood cells; voc: any folder in Pascal VOC's layout, which bccd has too"
    )
    data_dir: str | None = setting(
        None, "folder with Annotations, ImageSets/Main and JPEGImages", path=True
    )
    hold_validation: bool = setting(
        False, "learn from train alone, and choose the epoch by val; else from train and val"
    )
    backbone: Literal["odenet", "resnet", "resnet101", "vgg16"] = setting(
        "odenet",
        "odenet; resnet: residual blocks in place of ODE blocks; resnet101 or vgg16, up to the map"
        " of that part of the sides",
    )
    stem: Literal["eighth", "sixteenth"] = setting(
        "eighth", "part of the image's sides that the feature map has"
    )
    width: int = setting(
        64, "channels of the feature map; of resnet101 and vgg16, of their first stage",
        Range(2, 4096),
    )  # fmt: skip
    blocks: int | None = setting(
        None, "ODE blocks (default 1) or residual blocks (default 6)", Range(1, 64)
    )
    hidden: int = setting(256, "units of each of the two layers that judge a box", COUNTS)
    rows: int = setting(240, "height of the canvas that images are resized to fit", SIDES)
    columns: int = setting(320, "width of that canvas", SIDES)
    anchors: str = setting("16,32,64,128", "sizes of anchors in pixels, joined by commas")
    ratios: str = setting("0.5,1,2", "of anchors' height to width, joined by commas")
    proposals: int = setting(300, "boxes of an image that are judged", COUNTS)
    boxes: int = setting(128, "boxes of an image that are learned from", COUNTS)
    augment: str = setting(
        "flip,resize,crop,colour", f"of {', '.join(AUGMENTATIONS)}, joined by commas; or none"
    )
    seed: int = setting(0, "seed of parameters, order, augmentations and samples", SEEDS)
    epochs: int = setting(40, "passes over the training images", Range(1, 10**6))
    batch_size: int = setting(4, "images in a step", Range(1, 1 << 16))
    optimizer: Literal["sgd", "adam", "adamw"] = setting("adamw", "update rule")
    lr: float = setting(1e-3, "learning rate at the start", RATES)
    weight_decay: float = setting(
        1e-4, "decoupled decay of adamw, L2 penalty of the others", RATES._replace(at_least=0)
    )
    schedule: Literal["constant", "cosine", "step"] = setting("cosine", "of the learning rate")
    solver: str = setting("dopri5", "Runge-Kutta method", choices=SOLVER_FACTS)
    rtol: float = setting(1e-3, "relative tolerance of a step", TOLERANCES)
    atol: float = setting(1e-3, "absolute tolerance of a step", TOLERANCES)
    step_size: float | None = setting(
        None, "of a fixed grid, in place of tolerances", Range(1e-3, 1)
    )
    gradient: str | None = setting(None, "gradient mode (default: tape)", choices=GRADIENT_FACTS)
    per_sample: bool = setting(False, "step sizes of each image's own")
    resume: bool = setting(False, "go on with the run in --out, with the same settings")

    def __post_init__(self) -> None:
        check_fields(self)
        known = self.augment == "none" or set(self.augmentations) <= set(AUGMENTATIONS)
        allowed = f"none, or of {', '.join(AUGMENTATIONS)}, joined by commas"
        require(known, "augment", self.augment, allowed)

    @property
    def augmentations(self) -> tuple[str, ...]:
        """Names of the augmentations."""
        if self.augment == "none":
            return ()
        return tuple(word.strip() for word in self.augment.split(","))
