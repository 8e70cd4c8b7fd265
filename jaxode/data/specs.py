"""What a data set of images is: its facts, its original files, and the registry of data sets.

Imports neither JAX nor TensorFlow Datasets, so that a command line that names the data sets is
quick.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jaxode.checks import ConfigError, require
from jaxode.config import CropName, DataConfig
from jaxode.data.image_kinds import PICTURES, ImageKind

if TYPE_CHECKING:
    from jaxode.data.readers import Reader

Arrays = tuple[np.ndarray, np.ndarray]
"""Images [N, H, W, C], uint8 or a radar's float32, and labels int32 [N]."""


class DataError(ValueError):
    """Data that cannot be loaded, or files that are not what they should be.

    Example:
      >>> import jaxode
      >>> jaxode.load_dataset("cifar100", data="sample")  # doctest: +ELLIPSIS
      Traceback (most recent call last):
      jaxode.data.specs.DataError: cifar100 has no bundled sample; ...
    """


class Unpacked(NamedTuple):
    """What a gzip file unpacks to: its size in bytes, and its digest where it is known."""

    size: int
    digest: str | None


@dataclass(frozen=True)
class SourceFile:
    """An original file of a data set.

    Example:
      >>> from jaxode.data import SourceFile
      >>> SourceFile("train.bin", size=3_073, digest=None).url is None
      True

    Args:
      name: as it is published.
      size: exact, in bytes; None where it is not known.
      digest: "sha256:…" or "md5:…"; None where it is not known.
      url: where it can be fetched.
      unpacked: of a gzip file, the same of its contents, which may lie in its place.
    """

    name: str
    size: int | None
    digest: str | None
    url: str | None = None
    unpacked: Unpacked | None = None


def files_below(
    address: str, *files: tuple[str, int | None, str, Unpacked]
) -> tuple[SourceFile, ...]:
    """The gzip files of a data set (name, size, digest, contents) below one address."""
    return tuple(
        SourceFile(name, size, digest, address + name, unpacked)
        for name, size, digest, unpacked in files
    )


@dataclass(frozen=True, kw_only=True)
class DatasetSpec:
    """The facts of a data set of images.

    Args:
      name: of the command line, of records and of folders.
      reader: how its original files are found and read: one of `jaxode.data.readers`, or your own.
      class_names: in the order of the labels.
      image_size: pixels a side of an image as it is stored.
      view_size: pixels a side of what a model sees.
      mean: of the training pixels / 255, channel by channel.
      std: standard deviation of the same.
      train_images: how many there are; of a data set without a test split, all images.
      test_images: how many there are; 0 without a test split.
      train_files: original files of the training split.
      test_files: original files of the test split.
      test_share: share of the images that becomes the test split, of a data set without one.
      source: where to get a data set that has no address to fetch it from, and what it looks like.
      folder: the folder inside the archive.
      archive: one file that holds all others.
      label_bytes: bytes before the pixels of a CIFAR record, the last of them the class.
      torchvision_folder: where torchvision stores the same files.
      pickled_names: names of the files of a pickled version, which is not read.
      sample_digest: SHA-256 of the sample that ships with the package; None without one.
      images: what the stored numbers are, and how they become what a model sees.
      stored_dtype: type of the stored numbers.
      crops: the crops of training that these images allow, at least one.

    Example:
      >>> from jaxode.data import DatasetSpec, SourceFile
      >>> from jaxode.data.readers import IDX
      >>> def files(split):
      ...     return tuple(SourceFile(f"{split}.{kind}", None, None) for kind in ("x", "y"))
      >>> spec = DatasetSpec(
      ...     name="stripes", reader=IDX, class_names=("rising", "falling"),
      ...     image_size=8, view_size=8, mean=(0.5,), std=(0.3,),
      ...     train_images=100, test_images=20,
      ...     train_files=files("train"), test_files=files("test"),
      ... )
      >>> spec.classes, spec.channels
      (2, 1)
    """

    name: str
    reader: Reader
    class_names: tuple[str, ...]
    image_size: int
    view_size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    train_images: int
    test_images: int = 0
    train_files: tuple[SourceFile, ...] = ()
    test_files: tuple[SourceFile, ...] = ()
    test_share: float | None = None
    source: str = ""
    folder: str | None = None
    archive: SourceFile | None = None
    label_bytes: int = 1
    torchvision_folder: str | None = None
    pickled_names: tuple[str, ...] = ()
    sample_digest: str | None = None
    images: ImageKind = PICTURES
    stored_dtype: str = "uint8"
    crops: tuple[CropName, ...] = ("resize", "pad", "none")

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def channels(self) -> int:
        """Channels of an image as it is stored."""
        return len(self.mean)

    @property
    def predefined_split(self) -> bool:
        """Whether the data set is published with a test split; without one, a seed draws it."""
        return self.test_share is None

    @property
    def unused_settings(self) -> tuple[str, ...]:
        """Settings of `DataConfig` that mean nothing for this data set."""
        split = ("test_share", "split_seed") if self.predefined_split else ()
        return (*self.images.unused, *split)

    @property
    def sampled(self) -> bool:
        """Whether a sample ships with the package."""
        return self.sample_digest is not None

    @property
    def files(self) -> tuple[SourceFile, ...]:
        """All files that hold images and labels."""
        return self.train_files + self.test_files


Loader = Callable[[DataConfig], Any]
"""Settings → a `jaxode.data.Dataset`."""

SPECS: dict[str, DatasetSpec] = {}
"""The registered data sets of images by their names."""

LOADERS: dict[str, Loader] = {}
"""How the other registered data sets are made, by their names."""


def register_dataset(name: str, source: DatasetSpec | Loader) -> None:
    """Give a data set a name, by which settings and the command line know it from then on.

    Args:
      name: must be new.
      source: the facts of a data set of images, which have the same name; or a function
        (`DataConfig`) → `Dataset`, which `jaxode.load_dataset` calls.

    Raises:
      ConfigError: the name is taken, or not that of the facts.

    Example:
      >>> import numpy as np
      >>> import jaxode
      >>> from jaxode.data import ArrayDataset, register_dataset, unregister_dataset
      >>> def squares(config):
      ...     x = np.linspace(-1, 1, 64, dtype=np.float32)[:, None]
      ...     return ArrayDataset("squares", {"x": x, "y": x**2}, {"x": x, "y": x**2})
      >>> register_dataset("squares", squares)
      >>> jaxode.load_dataset("squares").splits["train"]["y"].shape
      (64, 1)
      >>> unregister_dataset("squares")
    """
    if name in dataset_names():
        raise ConfigError(f"data set {name!r} is registered already")
    if isinstance(source, DatasetSpec):
        require(name == source.name, "name", name, f"{source.name}, as in the facts")
        SPECS[name] = source
    else:
        LOADERS[name] = source


def unregister_dataset(name: str) -> None:
    """Forget a registered data set.

    Args:
      name: as it was registered.

    Raises:
      KeyError: there is none of that name.

    Example:
      >>> from jaxode.data import ArrayDataset, dataset_names, register_dataset, unregister_dataset
      >>> register_dataset("mine", lambda config: ArrayDataset("mine", {}, {}))
      >>> unregister_dataset("mine")
      >>> "mine" in dataset_names()
      False
    """
    del (SPECS if name in SPECS else LOADERS)[name]


def dataset_names() -> tuple[str, ...]:
    """Names of all registered data sets.

    Returns:
      Those of images first, each in the order registered.

    Example:
      >>> from jaxode.data import dataset_names
      >>> "mnist" in dataset_names()
      True
    """
    return (*SPECS, *LOADERS)


def spec_of(config: DataConfig) -> DatasetSpec:
    """The facts of the data set of images that settings name, with the classes that they select.

    Args:
      config: names the data set and how many of its classes are used.

    Returns:
      Its facts; `class_names` has the first `config.classes` of them, if that is given.

    Raises:
      ConfigError: no data set of images has that name, or it has fewer classes.

    Example:
      >>> from jaxode.config import DataConfig
      >>> from jaxode.data import spec_of
      >>> spec_of(DataConfig("cifar10", classes=2)).class_names
      ('airplane', 'automobile')
    """
    require(config.dataset in SPECS, "dataset", config.dataset, f"one of {', '.join(SPECS)}")
    spec, count = SPECS[config.dataset], config.classes
    if count is None:
        return spec
    require(
        count <= spec.classes,
        "classes",
        count,
        f"at most {spec.classes}, the classes of {spec.name}",
    )
    return replace(spec, class_names=spec.class_names[:count])


def has_predefined_split(name: str) -> bool:
    """Whether a data set has a test split of its own, as all do but some of `SPECS`.

    Args:
      name: of a registered data set, or of any other.

    Returns:
      False if the test split is drawn by `DataConfig.split_seed`.

    Example:
      >>> from jaxode.data import has_predefined_split
      >>> has_predefined_split("mnist"), has_predefined_split("iceberg")
      (True, False)
    """
    return name not in SPECS or SPECS[name].predefined_split
