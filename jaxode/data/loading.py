"""One call from a DataConfig to arrays, of the full set or the bundled sample."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from jaxode.checks import require
from jaxode.config import DataConfig
from jaxode.data import original_files, splitting
from jaxode.data.base import Dataset
from jaxode.data.bundled import read_sample
from jaxode.data.full import load_full, read_originals
from jaxode.data.image_set import ImageSet, Source
from jaxode.data.readers import WHOLE, Unavailable
from jaxode.data.registry import LOADERS, SPECS, dataset_names, is_registered, spec_of
from jaxode.data.specs import Arrays, DataError, DatasetSpec


def load_dataset(
    name: str, data_dir: str | None = None, *, progress: bool = True, **settings: Any
) -> Dataset:
    """A registered data set by its name.

    Args:
      name: one of `jaxode.data.dataset_names()`.
      data_dir: the folder with the original files, or where to store them.
      progress: whether downloads and preparation show their progress on stderr.
      **settings: other fields of `DataConfig`, such as data="sample" or limit_train=100.

    Returns:
      A data set for `jaxode.fit` and `jaxode.train.run`; an `ImageSet`, if it is one of images.

    Raises:
      ConfigError: a name that is not registered, or a setting out of range.
      DataError: the data cannot be had, or a file is not what it should be.

    Example:
      >>> import jaxode
      >>> data = jaxode.load_dataset("mnist", data="sample", limit_train=100)
      >>> data.splits["train"]["image"].shape
      (100, 28, 28, 1)
    """
    require(is_registered(name), "dataset", name, f"one of {', '.join(dataset_names())}")
    config = DataConfig(dataset=name, data_dir=data_dir, **settings)
    return LOADERS[name](config) if name in LOADERS else load(config, progress=progress)


def load(config: DataConfig, *, progress: bool = True) -> ImageSet:
    """The data set of images that settings name.

    With data "auto", the full set is used if it is prepared, if its original files are at hand or
    if they can be fetched; otherwise the sample, and a line on stderr says so and why. Original
    files at hand are checked at every call, so that a changed byte is never missed (of pictures in
    folders: a changed name or size); a damaged file is an error under "auto" too. A set that comes
    without a predefined split is split by `config.split_seed`.

    Args:
      config: the name, where the original files are, and how many images and classes are used.
      progress: whether downloads and preparation show their progress on stderr.

    Returns:
      The images and labels of both splits.

    Raises:
      ConfigError: no data set of images has that name, or it has fewer classes.
      DataError: the images cannot be had, a file is not what it should be, a limit exceeds the
        set, a class has no training images, or there are no images left.

    Example:
      >>> from jaxode.config import DataConfig
      >>> from jaxode.data import load
      >>> load(DataConfig("cifar10", "sample", limit_train=100)).train_images.shape
      (100, 32, 32, 3)
    """
    spec = spec_of(config)
    source: Source = "full"
    if config.data == "sample":
        (train, test), source = _sample(spec), "sample"
    else:
        try:
            train, test = _full(config, spec, progress=progress)
        except Unavailable as reason:
            if config.data == "full" or not spec.sampled:
                raise DataError(f"{reason}; {_remedy(spec)}") from reason
            print(
                f"jaxode: using the bundled SAMPLE of {spec.name}, not the full set: {reason}",
                file=sys.stderr,
            )
            (train, test), source = _sample(spec), "sample"
    train, test = _of_classes(train, spec), _of_classes(test, spec)
    _require_classes(train, spec)
    if spec.measured:
        spec = _measured(spec, train[0])
    train = _limited(train, config.limit_train, "limit_train", spec, source)
    test = _limited(test, config.limit_test, "limit_test", spec, source)
    return ImageSet(spec.name, source, *train, *test, spec)


def _measured(spec: DatasetSpec, images: np.ndarray) -> DatasetSpec:
    """Facts with mean and standard deviation of uint8 images [N, H, W, C], in [0, 1]."""
    counts = [np.bincount(images[..., c].ravel(), minlength=256) for c in range(images.shape[-1])]
    levels = np.arange(256) / 255
    mean = [float(count @ levels / count.sum()) for count in counts]
    square = [float(count @ levels**2 / count.sum()) for count in counts]
    # Pictures of one colour have no deviation to be divided by.
    std = [max(s - m**2, 0) ** 0.5 or 1.0 for m, s in zip(mean, square, strict=True)]
    return replace(spec, mean=tuple(mean), std=tuple(std))


def _full(config: DataConfig, spec: DatasetSpec, *, progress: bool) -> tuple[Arrays, Arrays]:
    """Training and test arrays of the full set. Raises Unavailable, DataError."""
    root = Path(config.data_dir) if config.data_dir else original_files.default_data_dir()
    try:
        if config.data_dir and not root.is_dir():
            raise DataError(f"data_dir must be a folder, and {root} is none")
        every = SPECS.get(spec.name, spec)
        read = load_full if spec.prepared else read_originals
        splits = read(every, root, progress=progress)
    except OSError as error:
        what = error.filename or root
        raise DataError(f"{what} cannot be read: {error.strerror or error}") from error
    if spec.test_share is None:
        return splits["train"], splits["test"]
    share = config.test_share or spec.test_share
    return splitting.split(_of_classes(splits[WHOLE], spec), share, config.split_seed)


def _sample(spec: DatasetSpec) -> tuple[Arrays, Arrays]:
    if not spec.sampled:
        raise DataError(f"{spec.name} has no bundled sample; {_remedy(spec)}")
    return read_sample(spec)


def _of_classes(arrays: Arrays, spec: DatasetSpec) -> Arrays:
    """The images of the set's classes."""
    images, labels = arrays
    kept = labels < spec.classes
    return arrays if kept.all() else (images[kept], labels[kept])


def _require_classes(train: Arrays, spec: DatasetSpec) -> None:
    """Raise DataError if a class has no image to train on, before any limit is applied."""
    images, labels = train
    counts = np.bincount(labels, minlength=spec.classes)
    empty = [name for name, count in zip(spec.class_names, counts, strict=True) if not count]
    if empty:
        raise DataError(
            f"{spec.name} has no training image of {', '.join(empty)}: of all {spec.classes}"
            f" classes, {len(images)} images are for training; there must be some of every class"
        )


def _limited(
    arrays: Arrays, limit: int | None, name: str, spec: DatasetSpec, source: Source
) -> Arrays:
    if limit is None:
        return arrays
    if limit > len(arrays[0]):
        raise DataError(
            f"{name} must be at most {len(arrays[0])}, the images of {spec.name} ({source}), got"
            f" {limit}"
        )
    return arrays[0][:limit], arrays[1][:limit]


def _remedy(spec: DatasetSpec) -> str:
    if spec.source:
        return f"get them from {spec.source}, and name the folder they are in with --data-dir"
    where = spec.archive.url if spec.archive else (spec.files[0].url or "").rsplit("/", 1)[0] + "/"
    other = ", or use --data sample" if spec.sampled else ""
    return f"get the original files from {where} and name their folder with --data-dir{other}"
