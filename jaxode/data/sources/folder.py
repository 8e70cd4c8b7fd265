"""A folder of one's own pictures, with a subfolder for each class.

The facts are found in the folder: classes, split and number of pictures; mean and standard
deviation are measured when the pictures are loaded.
"""

from __future__ import annotations

from pathlib import Path

from jaxode.checks import ConfigError
from jaxode.config import DataConfig
from jaxode.data.readers import PICTURE_FOLDER
from jaxode.data.registry import register_image_source
from jaxode.data.specs import DatasetSpec

SIDE = 64
"""Pixels a side, by default."""


def spec_of_folder(config: DataConfig) -> DatasetSpec:
    """The facts of the pictures in `config.data_dir`.

    Raises:
      ConfigError: no folder is named.
      DataError: it holds no pictures in subfolders, or cannot be read.
    """
    from jaxode.data.picture_folder import scan

    if config.data_dir is None:
        raise ConfigError("data_dir must name the folder of the pictures, got None")
    found = scan(Path(config.data_dir))
    side = SIDE if config.image_size is None else config.image_size
    counts = {split: len(listing.pictures) for split, listing in found.splits.items()}
    return DatasetSpec(
        name="folder",
        reader=PICTURE_FOLDER,
        class_names=found.class_names,
        image_size=side,
        view_size=side,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        train_images=sum(count for split, count in counts.items() if split != "test"),
        test_images=counts.get("test", 0),
        test_share=None if "test" in counts else 0.2,
        source="a folder with a subfolder of pictures for each class",
        prepared=False,
        measured=True,
    )


register_image_source("folder", spec_of_folder)
