"""Pictures in one folder a class, as they are or in a zip: found, listed, decoded and made of one size."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from jaxode.data.specs import DataError, DatasetSpec

ENDINGS = (".jpg", ".jpeg", ".png")


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


@dataclass(frozen=True)
class Listing:
    """The pictures of a set, by class and name, and what opens them."""

    root: Path
    pictures: tuple[Picture, ...]

    @property
    def manifest(self) -> str:
        """SHA-256 of every picture's folder, name and size: quick, and the same of a zip and of what it unpacks to."""
        lines = "".join(f"{picture.name} {picture.size}\n" for picture in self.pictures)
        return hashlib.sha256(lines.encode()).hexdigest()

    @contextmanager
    def opened(self) -> Iterator[Callable[[Picture], bytes]]:
        """A function that reads a picture's bytes."""
        if self.root.is_dir():
            yield lambda picture: (self.root / picture.place).read_bytes()
            return
        with zipfile.ZipFile(self.root) as archive:
            yield lambda picture: archive.read(picture.place)


def find(spec: DatasetSpec, data_dir: Path) -> Path | None:
    """The folder that holds a folder for each class, or the zip; None if there is neither.

    Looked for in the folder of `data_dir` named after the set and in `data_dir` itself, and there in the folder that
    the zip unpacks to, which has itself a folder of the same name in it.
    """
    roots = [data_dir / spec.name, data_dir]
    inner = [root / spec.folder for root in roots] if spec.folder else []
    for root in [*roots, *inner, *(root / root.name for root in inner)]:
        if any((root / name).is_dir() for name in spec.class_names):
            return root
    zips = (f"{spec.name.replace('_', '-')}.zip", f"{spec.name}.zip", "archive.zip")
    return next((root / name for root in roots for name in zips if (root / name).is_file()), None)


def listing(spec: DatasetSpec, root: Path) -> Listing:
    """The pictures below a folder or in a zip. Raises DataError if a class has none or the zip is none."""
    if root.is_dir():
        paths = (path for name in spec.class_names for path in (root / name).glob("*"))
        files = [(path.relative_to(root).as_posix(), path.stat().st_size) for path in paths]
    else:
        try:
            with zipfile.ZipFile(root) as archive:
                files = [(entry.filename, entry.file_size) for entry in archive.infolist() if not entry.is_dir()]
        except (zipfile.BadZipFile, OSError) as error:
            raise DataError(f"{root} is no whole zip of {spec.name}: {error}") from error
    labels = {name: label for label, name in enumerate(spec.class_names)}
    pictures = [
        Picture(place, labels[folder], size)
        for place, size in files
        if place.lower().endswith(ENDINGS) and (folder := PurePosixPath(place).parent.name) in labels
    ]
    empty = set(range(spec.classes)) - {picture.label for picture in pictures}
    if empty:
        names = ", ".join(spec.class_names[label] for label in sorted(empty))
        raise DataError(f"{root} must hold pictures of every class of {spec.name}, but has none of {names}")
    return Listing(root, tuple(sorted(pictures, key=lambda picture: (picture.label, picture.place))))


def decode(contents: bytes, side: int) -> np.ndarray:
    """A picture as bytes [side, side, 3], red, green, blue: its middle square, resized with anti-aliasing.

    Raises OSError if the contents are no whole picture.
    """
    from PIL import Image  # slow to import

    with Image.open(io.BytesIO(contents)) as picture:
        picture.draft("RGB", (2 * side, 2 * side))  # a JPEG is decoded at a half or a quarter, which is much quicker
        square = picture.convert("RGB")
    width, height = square.size
    edge = min(width, height)
    left, top = (width - edge) / 2, (height - edge) / 2
    box = (left, top, left + edge, top + edge)
    return np.asarray(square.resize((side, side), Image.Resampling.BILINEAR, box=box))


def read(spec: DatasetSpec, found: Listing, *, progress: bool) -> tuple[np.ndarray, np.ndarray]:
    """uint8 [N, side, side, 3] and int32 [N], by class. Raises DataError naming a picture that cannot be decoded."""
    from tqdm import tqdm

    images = np.empty((len(found.pictures), spec.image_size, spec.image_size, 3), np.uint8)
    with found.opened() as contents:
        bar = tqdm(found.pictures, desc=f"decoding {spec.name}", unit="pictures", disable=None if progress else True)
        for number, picture in enumerate(bar):
            try:
                images[number] = decode(contents(picture), spec.image_size)
            except (OSError, SyntaxError, ValueError, zipfile.BadZipFile) as error:  # what decoders raise
                raise DataError(f"{found.root}: {picture.place} is no whole picture: {error}") from error
    return images, np.array([picture.label for picture in found.pictures], np.int32)
