"""Pictures in one folder for each class, in a directory or a zip.

They are found, listed, decoded and made of one size.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import stat
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from jaxode.data import archives, regular
from jaxode.data.regular import printable
from jaxode.data.specs import DataError, DatasetSpec

ENDINGS = (".jpg", ".jpeg", ".png")

SYSTEMS_OWN = ("__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini")
"""What macOS and Windows put beside pictures."""

MOST_BYTES = 2**28
"""Of a picture's file: four for each of the most pixels that are decoded."""

MOST_FILES = 500_000
"""In a folder of a class: the whole set has 87,000 pictures."""


@dataclass(frozen=True)
class Picture:
    """A picture by its place among the files, with its class and its size in bytes."""

    place: str
    label: int
    size: int

    @property
    def name(self) -> str:
        """Folder and file."""
        return "/".join(PurePosixPath(self.place).parts[-2:])


Contents = Callable[[Picture], bytes]


@dataclass(frozen=True)
class Listing:
    """The pictures of a set, by class and name, and what opens them."""

    root: Path
    pictures: tuple[Picture, ...]

    @property
    def manifest(self) -> str:
        """SHA-256 of every picture's folder, name and size.

        It is quick, and equal for a zip and what it unpacks to.
        """
        lines = "".join(f"{picture.name} {picture.size}\n" for picture in self.pictures)
        # Names that are no UTF-8 count by the bytes that they have on the disk.
        return hashlib.sha256(lines.encode(errors="surrogateescape")).hexdigest()

    @contextmanager
    def opened(self) -> Iterator[Contents]:
        """A function that reads a picture's bytes. It raises DataError or OSError."""
        if self.root.is_dir():
            yield lambda picture: regular.contents(self.root / picture.place, MOST_BYTES)
            return
        with archives.opened(self.root) as archive:
            yield lambda picture: archives.contents(archive, picture.place, MOST_BYTES)


def of_the_system(place: str) -> bool:
    """Whether an operating system added it: `._a.jpg`, say, holds macOS's notes on `a.jpg`."""
    return any(part.startswith("._") or part in SYSTEMS_OWN for part in PurePosixPath(place).parts)


def find(spec: DatasetSpec, data_dir: Path) -> Path | None:
    """The folder that holds a folder for each class, or the zip; None if there is neither.

    Looked for in the folder of `data_dir` named after the set and in `data_dir` itself, and there
    in the folder that the zip unpacks to, which has itself a folder of the same name in it. Raises
    DataError if they cannot be looked into.
    """
    roots = [data_dir / spec.name, data_dir]
    inner = [root / spec.folder for root in roots] if spec.folder else []
    zips = (f"{spec.name.replace('_', '-')}.zip", f"{spec.name}.zip", "archive.zip")
    try:
        for root in [*roots, *inner, *(root / root.name for root in inner)]:
            if any((root / name).is_dir() for name in spec.class_names):
                return root
        return next(
            (root / name for root in roots for name in zips if (root / name).is_file()), None
        )
    except OSError as error:
        raise _unreadable(Path(error.filename or data_dir), error) from error


def listing(spec: DatasetSpec, root: Path) -> Listing:
    """The pictures below a folder or in a zip.

    Raises DataError if a class has none, the zip is none, or naming a picture that cannot be read.
    """
    labels = {name: label for label, name in enumerate(spec.class_names)}
    found = _in_folders(root, labels) if root.is_dir() else _in_zip(root, labels)
    empty = set(range(spec.classes)) - {picture.label for picture in found}
    if empty:
        names = ", ".join(spec.class_names[label] for label in sorted(empty))
        raise DataError(
            f"{root} must hold pictures of every class of {spec.name}, but has none of {names}"
        )
    return Listing(root, tuple(sorted(found, key=lambda picture: (picture.label, picture.place))))


def is_picture(place: str) -> bool:
    """Whether a file's name is that of a picture, and none that an operating system added."""
    return place.lower().endswith(ENDINGS) and not of_the_system(place)


def _in_folders(root: Path, labels: dict[str, int]) -> list[Picture]:
    return [
        Picture(f"{name}/{file}", label, size)
        for name, label in labels.items()
        if (root / name).is_dir()
        for file, size in files(root / name)
    ]


def files(folder: Path) -> Iterator[tuple[str, int]]:
    """Names and sizes of the pictures of a folder; folders in it are left out, as those of a zip.

    Raises DataError naming what is no file, such as a dangling link.
    """
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in itertools.islice(entries, MOST_FILES + 1)]
    except OSError as error:
        raise _unreadable(folder, error) from error
    if len(names) > MOST_FILES:
        raise DataError(f"{printable(folder)} must hold at most {MOST_FILES} files")
    for name in filter(is_picture, names):
        try:
            found = (folder / name).stat()
        except OSError as error:
            raise _unreadable(folder / name, error) from error
        if stat.S_ISDIR(found.st_mode):
            continue
        if not stat.S_ISREG(found.st_mode):
            raise DataError(f"{printable(folder / name)} cannot be read: Not a regular file")
        if found.st_size > MOST_BYTES:
            size = f"{found.st_size} bytes, more than {MOST_BYTES}"
            raise DataError(f"{printable(folder / name)} has {size}")
        yield name, found.st_size


def _in_zip(path: Path, labels: dict[str, int]) -> list[Picture]:
    pictures: dict[PurePosixPath, Picture] = {}
    with archives.opened(path) as archive:
        for member in archive.infolist():
            place = PurePosixPath(member.filename)
            label = labels.get(place.parent.name)
            if label is None or member.is_dir() or not is_picture(member.filename):
                continue
            _check(path, member)
            if place in pictures:
                raise DataError(f"{printable(path)}: {printable(member.filename)} is in it twice")
            pictures[place] = Picture(member.filename, label, member.file_size)
    return list(pictures.values())


def _check(path: Path, member: zipfile.ZipInfo) -> None:
    try:
        archives.check(member, MOST_BYTES)
    except DataError as error:
        place = f"{printable(path)}: {printable(member.filename)}"
        raise DataError(f"{place} cannot be read: {error}") from None


def _unreadable(path: Path, error: OSError) -> DataError:
    return DataError(f"{printable(path)} cannot be read: {error.strerror}")


def decode(contents: bytes, side: int) -> np.ndarray:
    """A picture's middle square as bytes [side, side, 3], resized with anti-aliasing.

    Channels are red, green, blue.

    Raises PictureError if the contents are no whole picture.
    """
    from jaxode.data import pictures  # Pillow is slow to import

    return pictures.square(contents, side)


def read(spec: DatasetSpec, found: Listing, *, progress: bool) -> tuple[np.ndarray, np.ndarray]:
    """uint8 [N, side, side, 3] and int32 [N], by class.

    Raises DataError naming a picture that cannot be decoded.
    """
    from tqdm import tqdm

    images = np.empty((len(found.pictures), spec.image_size, spec.image_size, 3), np.uint8)
    hidden = None if progress else True
    with (
        found.opened() as contents,
        tqdm(found.pictures, desc=f"decoding {spec.name}", unit="pictures", disable=hidden) as bar,
    ):
        for number, picture in enumerate(bar):
            images[number] = _image(found.root, picture, contents, spec.image_size)
    return images, np.array([picture.label for picture in found.pictures], np.int32)


def _image(root: Path, picture: Picture, contents: Contents, side: int) -> np.ndarray:
    name = f"{printable(root)}: {printable(picture.place)}"
    try:
        stored = contents(picture)
    except (DataError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise DataError(f"{name} cannot be read: {reason}") from error
    try:
        return decode(stored, side)
    except ValueError as error:  # PictureError
        raise DataError(f"{name} is no whole picture: {error}") from error
