"""How the original files of a data set are found and read: the readers that a `DatasetSpec` names.

What they need (downloads, Pillow, a JSON parser) is imported when a data set is read, so that the
facts of the data sets can be listed quickly.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from jaxode.data import parse
from jaxode.data.specs import Arrays, DataError, DatasetSpec

WHOLE = "whole"
"""The split that a data set without a predefined split is stored as."""


class Unavailable(Exception):
    """The full data set is neither prepared, nor on this machine, nor can it be fetched."""


@dataclass(frozen=True)
class LocalFiles:
    """The original files of a data set on this machine.

    Args:
      checksums: by name, of files that have no published one: they tell whether a data set was
        prepared from these files.
      read: parses them into arrays, by split. Raises DataError.
    """

    checksums: dict[str, str]
    read: Callable[[], dict[str, Arrays]]


class Reader(Protocol):
    """Finds and reads the original files of a data set."""

    def find(self, spec: DatasetSpec, folder: Path, *, progress: bool) -> LocalFiles | None:
        """The files in `folder` or its subfolder named after the data set; None without them.

        Raises:
          DataError: they are there and cannot be what they should be.
        """
        ...

    def fetch(self, spec: DatasetSpec, folder: Path, *, progress: bool) -> LocalFiles:
        """The same files, downloaded.

        Raises:
          Unavailable: they cannot be fetched.
          DataError: what was sent is not what it should be.
        """
        ...


Parse = Callable[[Sequence[bytes], DatasetSpec, Sequence[str], int], Arrays]
"""Contents of a split's files, facts, names of the files, number of images → arrays."""


@dataclass(frozen=True)
class PublishedFiles:
    """Files of known names, for each split its own: `spec.train_files` and `spec.test_files`.

    Args:
      parse: contents of a split's files → arrays.
    """

    parse: Parse

    def find(self, spec: DatasetSpec, folder: Path, *, progress: bool) -> LocalFiles | None:
        """The files, or the archive that holds them, each checked."""
        from jaxode.data import original_files

        found = original_files.find(spec, folder)
        return None if found is None else self._local(spec, found)

    def fetch(self, spec: DatasetSpec, folder: Path, *, progress: bool) -> LocalFiles:
        """The files from their addresses."""
        from jaxode.data import download, original_files

        try:
            return self._local(spec, download.fetch(spec, folder, progress=progress))
        except download.Unreachable as error:
            raise Unavailable(f"{original_files.places(spec, folder)}, and {error}") from error

    def arrays(self, spec: DatasetSpec, contents: dict[str, bytes]) -> dict[str, Arrays]:
        """Arrays of "train" and "test" from the contents of all files by name.

        Raises:
          DataError: they do not parse, or hold another number of images.
        """
        arrays = {}
        for split, files, count in (
            ("train", spec.train_files, spec.train_images),
            ("test", spec.test_files, spec.test_images),
        ):
            names = [file.name for file in files]
            arrays[split] = self.parse([contents[name] for name in names], spec, names, count)
            images = len(arrays[split][0])
            if images != count:
                raise DataError(f"{', '.join(names)} must hold {count} images, found {images}")
        return arrays

    def _local(self, spec: DatasetSpec, found: dict[str, Path] | Path) -> LocalFiles:
        from jaxode.data import original_files

        contents = original_files.read(spec, found)
        checksums = original_files.unpublished(spec, found, contents)
        return LocalFiles(checksums, lambda: self.arrays(spec, contents))


class ClassFolders:
    """Pictures in one folder for each class, or a zip of such folders; no predefined split."""

    def find(self, spec: DatasetSpec, folder: Path, *, progress: bool) -> LocalFiles | None:
        """The folder of the class folders, or the zip."""
        from jaxode.data import folders

        root = folders.find(spec, folder)
        if root is None:
            return None
        listing = folders.listing(spec, root)
        return LocalFiles(
            {WHOLE: listing.manifest},
            lambda: {WHOLE: folders.read(spec, listing, progress=progress)},
        )

    def fetch(self, spec: DatasetSpec, folder: Path, *, progress: bool) -> LocalFiles:
        """Raises Unavailable: such a data set has no address."""
        raise _no_address(spec, folder)


class PictureFolder:
    """Pictures of one's own: a folder or a zip, with or without a folder for each split."""

    def find(self, spec: DatasetSpec, folder: Path, *, progress: bool) -> LocalFiles | None:
        """All pictures below the folder."""
        from jaxode.data import folders, picture_folder

        splits = picture_folder.scan(folder).splits
        return LocalFiles(
            {split: listing.manifest for split, listing in splits.items()},
            lambda: {
                split: folders.read(spec, listing, progress=progress)
                for split, listing in splits.items()
            },
        )

    def fetch(self, spec: DatasetSpec, folder: Path, *, progress: bool) -> LocalFiles:
        """Raises Unavailable: such a data set has no address."""
        raise _no_address(spec, folder)


@dataclass(frozen=True)
class RadarJSON:
    """A JSON list of radar images with two bands, an angle and a label; no predefined split.

    Args:
      file_name: of the list.
    """

    file_name: str

    def find(self, spec: DatasetSpec, folder: Path, *, progress: bool) -> LocalFiles | None:
        """The file."""
        from jaxode.data import inputs, radar_json

        paths = (folder / spec.name / self.file_name, folder / self.file_name)
        path = inputs.first(paths)
        if path is None:
            inputs.refuse_others(paths)
            return None
        with inputs.opened(path) as stream:
            checksum = hashlib.file_digest(stream, "sha256").hexdigest()
        return LocalFiles({WHOLE: checksum}, lambda: {WHOLE: radar_json.read_radar_json(path)})

    def fetch(self, spec: DatasetSpec, folder: Path, *, progress: bool) -> LocalFiles:
        """Raises Unavailable: such a data set has no address."""
        raise _no_address(spec, folder)


class TfdsSets:
    """Sets that TensorFlow Datasets has prepared in array_record format."""

    def find(self, spec: DatasetSpec, folder: Path, *, progress: bool) -> LocalFiles | None:
        """The set that the facts name."""
        from jaxode.data import tfds_sets

        found = tfds_sets.describe(folder, spec.name)
        return LocalFiles({}, lambda: tfds_sets.read(found, spec.image_size, progress=progress))

    def fetch(self, spec: DatasetSpec, folder: Path, *, progress: bool) -> LocalFiles:
        """Raises Unavailable: TFDS prepares its sets with TensorFlow."""
        raise _no_address(spec, folder)


def _no_address(spec: DatasetSpec, folder: Path) -> Unavailable:
    return Unavailable(f"there are no originals of {spec.name} in {folder} or {folder / spec.name}")


IDX = PublishedFiles(parse.idx_set)
"""A file of images and one of labels for each split, in MNIST's format, packed or not."""

CIFAR = PublishedFiles(parse.cifar_set)
"""Files of CIFAR's binary records."""

PICTURE_FOLDER = PictureFolder()
"""Any pictures, read anew each time."""

TFDS_SETS = TfdsSets()
"""Prepared sets of TFDS, read anew each time."""

CLASS_FOLDERS = ClassFolders()
