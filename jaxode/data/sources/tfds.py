"""Image classification sets that TensorFlow Datasets has prepared: `tfds:NAME`.

The facts are found in the prepared set: classes, splits, size and number of images; mean and
standard deviation are measured when the images are loaded.
"""

from __future__ import annotations

from pathlib import Path

from jaxode.checks import ConfigError
from jaxode.config import DataConfig
from jaxode.data.readers import TFDS_SETS
from jaxode.data.registry import register_image_source
from jaxode.data.sources.folder import SIDE
from jaxode.data.specs import DataError, DatasetSpec

SHARE = 0.2
"""Of a set without a test split."""


def spec_of_set(config: DataConfig) -> DatasetSpec:
    """The facts of the set `config.dataset` in `config.data_dir`.

    Raises:
      ConfigError: no folder is named, or the name is none.
      DataError: it does not hold such a set in array_record format.
    """
    if config.data_dir is None:
        raise ConfigError(
            "data_dir must name the folder in which TFDS prepared the set (its own default is"
            " ~/tensorflow_datasets), got None"
        )
    root = Path(config.data_dir)
    if not root.is_dir():
        raise DataError(f"data_dir must be a folder, and {root} is none")
    from jaxode.data import tfds_sets

    found = tfds_sets.describe(root, config.dataset)
    side = config.image_size or found.side or SIDE
    return DatasetSpec(
        name=config.dataset,
        reader=TFDS_SETS,
        class_names=found.class_names,
        image_size=side,
        view_size=side,
        mean=(0.5,) * found.channels,
        std=(0.5,) * found.channels,
        train_images=sum(count for split, count in found.counts.items() if split != "test"),
        test_images=found.counts.get("test", 0),
        test_share=None if "test" in found.counts else SHARE,
        source="TensorFlow Datasets, prepared in array_record format",
        prepared=False,
        measured=True,
    )


register_image_source("tfds:NAME", spec_of_set)
