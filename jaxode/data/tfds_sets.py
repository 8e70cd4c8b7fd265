"""Image classification sets that TensorFlow Datasets (TFDS) has prepared in array_record format.

A set lies in NAME/VERSION or NAME/CONFIG/VERSION below the folder that TFDS was given. Its images
are decoded as those of files are (`jaxode.data.pictures`), and TensorFlow is not needed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from jaxode.checks import ConfigError, one_line, shown
from jaxode.data.builders import quiet
from jaxode.data.prepared import INFO, Damaged, require_files
from jaxode.data.readers import WHOLE
from jaxode.data.regular import printable
from jaxode.data.specs import Arrays, DataError
from jaxode.data.tfds_records import UNLABELLED, TfdsSet, read_records, read_split, undecoded
from jaxode.strict_json import read_object

PREFIX = "tfds:"

NAME = re.compile(
    r"(?P<set>[A-Za-z]\w*)(/(?P<config>\w[\w.+-]*))?(:(?P<version>\d+\.\d+\.\d+))?", re.ASCII
)
"""NAME, NAME/CONFIG, each with or without :VERSION, as TFDS writes them."""

VERSION = re.compile(r"(\d{1,9})\.(\d{1,9})\.(\d{1,9})", re.ASCII)

FEATURES = "features.json"

TESTS = ("test", "validation", "valid", "val")
"""Splits that are the test split; the first that is there and has labels."""

SHOWN = 10
"""Names of sets in a message."""


def describe(root: Path, dataset: str) -> TfdsSet:
    """The facts of a prepared set.

    Args:
      root: the folder that TFDS prepared it in.
      dataset: `tfds:NAME`, `tfds:NAME/CONFIG`, either with `:VERSION`.

    Raises:
      ConfigError: a name that TFDS does not have.
      DataError: there is no such set, it is in another format, it is damaged, it has no training
        split, or not exactly one image and one class label.
    """
    folder = locate(root, dataset)
    try:
        return _described(folder, _builder(folder))
    except OSError as error:
        raise DataError(f"{printable(folder)} cannot be read: {error.strerror}") from error


def read(found: TfdsSet, side: int, *, progress: bool) -> dict[str, Arrays]:
    """The images and labels of every split, in the order of TFDS.

    Args:
      found: what `describe` returned.
      side: pixels a side; of an image that is no square the middle is taken.
      progress: whether a bar on stderr shows how far it is.

    Returns:
      uint8 [N, side, side, channels] and int32 [N], by split.

    Raises:
      DataError: naming an example that cannot be decoded, or has no label.
    """
    builder = _builder(found.folder)
    return {split: read_split(builder, found, split, side, progress) for split in found.splits}


def locate(root: Path, dataset: str) -> Path:
    """The folder of a set's version; without one in the name, the latest. Raises as `describe`."""
    name = dataset.removeprefix(PREFIX)
    parts = NAME.fullmatch(name)
    if parts is None:
        raise ConfigError(
            "dataset must be tfds:NAME, tfds:NAME/CONFIG or either with :VERSION, got"
            f" {shown(dataset)}"
        )
    below = root / parts["set"]
    try:
        places = [below / parts["config"]] if parts["config"] else [below, *_folders(below)]
        versions = [each for place in places for each in _versions(place)]
    except OSError as error:
        raise DataError(f"{printable(below)} cannot be read: {error.strerror}") from error
    if parts["version"]:
        versions = [each for each in versions if each.name == parts["version"]]
    parents = {each.parent for each in versions}
    if below in parents:  # a set without configs, which wins over anything deeper
        versions = [each for each in versions if each.parent == below]
    elif len(parents) > 1:
        configs = ", ".join(sorted(f"{dataset}/{each.name}" for each in parents))
        raise DataError(f"dataset must name one of the configs {configs}, got {dataset}")
    if not versions:
        raise DataError(_missing(root, name))
    return max(versions, key=lambda each: tuple(map(int, each.name.split("."))))


def _folders(place: Path) -> list[Path]:
    return sorted(each for each in place.iterdir() if each.is_dir()) if place.is_dir() else []


def _versions(place: Path) -> Iterator[Path]:
    """Folders of versions that are prepared."""
    return (
        each for each in _folders(place) if VERSION.fullmatch(each.name) and (each / INFO).is_file()
    )


def _missing(root: Path, name: str) -> str:
    sets = {info.relative_to(root).parts[0] for info in root.glob(f"*/*.*.*/{INFO}")}
    sets |= {info.relative_to(root).parts[0] for info in root.glob(f"*/*/*.*.*/{INFO}")}
    named = ", ".join(map(printable, sorted(sets)[:SHOWN])) or "no prepared set"
    return (
        f"{printable(root)} must hold {name} as TFDS prepares it, and holds {named}; where"
        f" TensorFlow is installed, `tfds build {name.partition(':')[0]} --file_format=array_record"
        f" --data_dir={printable(root)}` prepares it"
    )


def _builder(folder: Path) -> Any:
    """TFDS's builder of a prepared set. Raises DataError, OSError."""
    try:
        require_files(folder)
        _require_own_features(folder)
        with quiet():
            builder = tfds.builder_from_directory(str(folder))
    except (Damaged, ValueError, KeyError, TypeError, AttributeError, ImportError) as error:
        raise DataError(
            f"{printable(folder)} is no whole set of TFDS: {one_line(error)}"
        ) from error
    kind = builder.info.file_format
    if kind is None or kind.value != "array_record":
        got = None if kind is None else kind.value
        raise DataError(
            f"{printable(folder)} must be in array_record format, which needs no TensorFlow to be"
            f" read, and is in {got}: prepare it with --file_format=array_record"
        )
    return builder


def _require_own_features(folder: Path) -> None:
    """Raise DataError for features of other packages, since TFDS imports what the file names."""
    stored = [read_object(folder / FEATURES)]
    for value in stored:
        for key, member in value.items():
            inner = member if isinstance(member, list) else [member]
            stored += [each for each in inner if isinstance(each, dict)]
            if key == "pythonClassName" and not str(member).startswith("tensorflow_datasets.core."):
                raise DataError(
                    f"{printable(folder / FEATURES)} must have features of TFDS alone, got"
                    f" {shown(member)}"
                )


def _described(folder: Path, builder: Any) -> TfdsSet:
    info = builder.info
    image, label = _feature_names(folder, info)
    height, width, channels = info.features[image].shape
    names = tuple(info.features[label].names)
    if len(names) < 2:
        raise DataError(f"{printable(folder)} must have at least 2 classes, got {len(names)}")
    splits = _splits(folder, builder, label)
    return TfdsSet(
        folder=folder,
        image=image,
        label=label,
        class_names=names,
        side=height if height is not None and height == width else None,
        channels=1 if channels == 1 else 3,
        splits=splits,
        counts={own: info.splits[name].num_examples for own, name in splits.items()},
    )


def _feature_names(folder: Path, info: Any) -> tuple[str, str]:
    """Names of the image and of the label: those of supervised learning, or the only ones."""
    features = info.features
    found = dict(features.items()) if isinstance(features, tfds.features.FeaturesDict) else {}
    images = [
        name
        for name, kind in found.items()
        if type(kind) is tfds.features.Image and kind.np_dtype == np.uint8
    ]
    labels = [name for name, kind in found.items() if isinstance(kind, tfds.features.ClassLabel)]
    keys = info.supervised_keys if len(info.supervised_keys or ()) == 2 else (None, None)
    chosen = []
    for names, own, supervised in ((images, "image", keys[0]), (labels, "label", keys[1])):
        preferred = [name for name in (supervised, own) if name in names]
        chosen.append((preferred or (names if len(names) == 1 else [None]))[0])
    image, label = chosen
    if image is None or label is None:
        kinds = ", ".join(f"{name} ({type(kind).__name__})" for name, kind in sorted(found.items()))
        raise DataError(
            f"{printable(folder)} must have an Image of uint8 and a ClassLabel among its features,"
            f" and has {kinds or type(features).__name__}"
        )
    return image, label


def _splits(folder: Path, builder: Any, label: str) -> dict[str, str]:
    """Names in TFDS of the splits, by those here."""
    there = [name for name, split in builder.info.splits.items() if split.num_examples]
    if "train" not in there:
        raise DataError(
            f"{printable(folder)} must have the split train, and has {', '.join(there) or 'none'}"
        )
    for name in TESTS:
        if name in there and _example(builder, name, label) != UNLABELLED:
            return {"train": "train", "test": name}
    return {WHOLE: "train"}


def _example(builder: Any, split: str, label: str) -> int:
    """The label of a split's first example."""
    with quiet():
        source = builder.as_data_source(split, decoders=undecoded(builder))
        return int(read_records(builder, source, range(1))[0][label])
