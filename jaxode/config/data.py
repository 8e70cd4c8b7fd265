"""Which images are trained on, and what is done to them.

Every field is one command-line flag, with its help text next to its default.
"""

# ruff: noqa: RUF009 - `setting` is dataclasses.field under a shorter name

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from jaxode.checks import COUNTS, SEEDS, Range, require
from jaxode.config.choices import (
    REFLECTIONS,
    AugmentationName,
    CropName,
    DataChoice,
    FeedName,
    PixelsName,
)
from jaxode.config.fields import check_fields, setting


@dataclass(frozen=True)
class DataConfig:
    """Which images, and what is done to them.

    Args:
      dataset: a registered name, or the name of a data set of your own.
      data: "full" for the published set, "sample" for the bundled images, "auto" for the first of
        these that is available.
      data_dir: folder of the original files.
      limit_train: use the first so many training images.
      limit_test: use the first so many test images.
      crop: how training windows are cropped.
      pixels: "normalised" to mean 0 and standard deviation 1 over the training images, or "unit"
        for pixel / 255, as torchvision's ToTensor.
      drop_last: whether an epoch leaves out the images that do not fill its last batch, as
        torch's DataLoader(drop_last=True); otherwise that batch is padded by images of weight 0.
      augment: "none", "all", "upright", or names of augmentations joined by commas.
      classes: use the images of the first so many classes, 2 to 1000.
      test_share: share of a set that has no published split, in (0, 1), that is the test split.
      split_seed: seed of that split.
      angle: iceberg: whether the incidence angle is one more channel.
      image_size: pixels a side that the pictures of a folder or a set of TFDS are resized to, 8 to
        1024.
      feed: "resident" for all images on the device, "streamed" for batches from the host, "auto"
        for the first if the images fit in half of the device's memory.

    Raises:
      ConfigError: a value outside its range.

    Example:
      >>> from jaxode import DataConfig
      >>> DataConfig(augment="cutout,transpose").augmentations
      ('transpose', 'cutout')
    """

    dataset: str = setting("mnist", "data set: a registered name, or the name of your own")
    data: DataChoice = setting(
        "auto",
        "full: the published set; sample: 2,000 + 500 bundled images; auto: full if it can be had,"
        " else sample",
    )
    data_dir: str | None = setting(
        None, "folder with the original files, or where to store them", path=True
    )
    limit_train: int | None = setting(None, "use only the first N training images", COUNTS)
    limit_test: int | None = setting(None, "use only the first N test images", COUNTS)
    crop: CropName = setting(
        "resize",
        "random 28x28 crops for training: resize: of the image enlarged to 32x32; pad: of the image"
        " with a border of 4 black pixels, as Chen et al.; none: the whole image",
    )
    pixels: PixelsName = setting(
        "normalised",
        "normalised: mean 0 and standard deviation 1 over the training images; unit: 0 to 1, as"
        " torchvision's ToTensor",
    )
    drop_last: bool = setting(
        False, "an epoch leaves out the training images that do not fill its last batch"
    )
    augment: str = setting(
        "none",
        "augmentations of training images, before they are cropped: none; all; upright: all but"
        " transpose and flips, which change the meaning of hand signs; or names joined by commas: "
        + ", ".join(get_args(AugmentationName)),
    )
    classes: int | None = setting(
        None, "use only the images of the first N classes", Range(2, 1000)
    )
    test_share: float | None = setting(
        None,
        "share of the images that are the test split, of a data set without one (default: its own)",
        Range(1e-4, 0.9999),
    )
    split_seed: int = setting(0, "seed of that split, which is stratified by class", SEEDS)
    angle: bool = setting(False, "iceberg: the incidence angle as one more channel")
    image_size: int | None = setting(
        None,
        "folder, tfds: pixels a side that pictures are made square and resized to (default: that of"
        " a set of TFDS whose images are squares of one size, else 64)",
        Range(8, 1024),
    )
    feed: FeedName = setting(
        "resident",
        "resident: all images on the device; streamed: batches, two ahead of the step, with the"
        " same results; auto: streamed if the images take more than half of the device's memory",
    )

    def __post_init__(self) -> None:
        check_fields(self)
        self.augmentations  # noqa: B018 - raises ConfigError

    @property
    def augmentations(self) -> tuple[AugmentationName, ...]:
        """Names of the augmentations, in the order of their application. Raises ConfigError."""
        every = get_args(AugmentationName)
        named = {
            "none": (),
            "all": every,
            "upright": tuple(name for name in every if name not in REFLECTIONS),
        }
        if self.augment in named:
            return named[self.augment]
        names = [name.strip() for name in self.augment.split(",")]
        for name in names:
            require(
                name in every, "augment", name, f"none, all, upright, or some of {', '.join(every)}"
            )
        return tuple(name for name in every if name in names)
