"""What a data set of images is: its facts, its original files, and the registry of data sets.

Imports neither JAX nor TensorFlow Datasets, so that a command line that names the data sets is
quick.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from jaxode.config import CropName
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
      prepared: whether the arrays are stored in a prepared form beside the original files.
      measured: whether mean and standard deviation are measured on the training images when they
        are loaded.

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
    prepared: bool = True
    measured: bool = False

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
        return (*self.images.unused, *split, "image_size")

    @property
    def sampled(self) -> bool:
        """Whether a sample ships with the package."""
        return self.sample_digest is not None

    @property
    def files(self) -> tuple[SourceFile, ...]:
        """All files that hold images and labels."""
        return self.train_files + self.test_files
