"""Images with boxes as a data set for training, and what is learned of them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

from experiments.detections.config import DetectionConfig
from jaxode.checks import require
from jaxode.data import ArrayDataset
from jaxode.data.detection import VocSplits, read_voc
from jaxode.data.detection.views import detection_views
from jaxode.tasks import Detection


class Problem(NamedTuple):
    """Data, and what is learned of them."""

    splits: VocSplits
    dataset: ArrayDataset
    task: Detection
    facts: dict[str, Any]
    """What a picture of one's own must go through to be shown to the model."""


def problem(config: DetectionConfig) -> Problem:
    """The problem of the settings. Raises ConfigError, DataError."""
    require(config.data_dir is not None, "data_dir", config.data_dir, "given: the images' folder")
    splits = read_voc(
        Path(config.data_dir or ""),
        config.rows,
        config.columns,
        hold_validation=config.hold_validation,
    )
    mean, std = splits.train.pixel_statistics()
    augmentations: Any = config.augmentations
    names = splits.class_names
    held = splits.validation
    dataset = ArrayDataset(
        config.data,
        splits.train.examples,
        splits.test.examples,
        SimpleNamespace(class_names=names),
        detection_views(mean, std, augmentations),
        validation=None if held is None else held.examples,
    )
    task = Detection(len(names), "test_ap50" if held is None else "validation_ap50")
    facts = {"class_names": list(names), "mean": mean, "std": std}
    return Problem(splits, dataset, task, facts)
