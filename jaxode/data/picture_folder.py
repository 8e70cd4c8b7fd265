"""Finds pictures below a folder or in its one zip: a subfolder for each class, splits or not.

Names of subfolders are classes. Folders `train` and `test` (or `val`, `valid`, `validation`) that
hold such subfolders are splits. A folder that holds nothing but one other, as archives unpack to,
is entered.
"""

from __future__ import annotations

import logging
import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from jaxode.data import archives
from jaxode.data.folders import MOST_BYTES, Listing, Picture, is_picture, of_the_system
from jaxode.data.readers import WHOLE
from jaxode.data.regular import printable
from jaxode.data.specs import DataError

SPLITS = {
    "train": "train",
    "training": "train",
    "test": "test",
    "testing": "test",
    "val": "test",
    "valid": "test",
    "validation": "test",
}
"""Names of folders that are splits, and which; a folder has splits if it has both."""

MOST_FILES = 2_000_000
DEEPEST = 8
"""Folders within each other."""

SHOWN = 5
"""Stray files that are named."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FoundPictures:
    """Pictures by split.

    Args:
      class_names: sorted; a picture's label is its class's place among them.
      splits: `train` and `test`, or `whole` without a predefined split.
    """

    class_names: tuple[str, ...]
    splits: dict[str, Listing]


def scan(root: Path) -> FoundPictures:
    """The pictures of a folder.

    What operating systems add (`.DS_Store`, `__MACOSX`, `._*`, `Thumbs.db`) is passed over; other
    files that are no pictures are left out and named in the log.

    Args:
      root: a folder of class folders, of split folders, or one that holds a single zip of these.

    Raises:
      DataError: there are no class folders, fewer than two classes, classes of the test split that
        are none of the training split, or what cannot be read.
    """
    archive = _only_zip(root)
    members = list(_in_zip(archive) if archive else _in_folder(root))
    placed = [_Placed.at(place, size) for place, size in members if is_picture(place)]
    has_splits = {"train", "test"} <= {each.split for each in placed}
    if has_splits:
        kept = [each for each in placed if each.split and each.name]
    else:
        kept = [each._replace(split=WHOLE) for each in placed if each.name]
    places = {each.place for each in kept}
    _log_left_out(root, [place for place, _ in members if place not in places])
    names = sorted({each.name for each in kept if each.split != "test"})
    if len(names) < 2:
        found = f"those of {names[0]} alone" if names else "none"
        raise DataError(
            f"{printable(root)} must hold a subfolder of pictures for each of at least 2 classes,"
            f" and holds {found}"
        )
    unknown = sorted({each.name for each in kept} - set(names))
    if unknown:
        raise DataError(
            f"{printable(root)} has test pictures of {', '.join(map(printable, unknown))}, of which"
            " there are none for training"
        )
    labels = {name: label for label, name in enumerate(names)}
    splits: dict[str, list[Picture]] = {}
    for each in sorted(kept, key=lambda each: (labels[each.name], each.place)):
        picture = Picture(each.place, labels[each.name], each.size)
        splits.setdefault(each.split, []).append(picture)
    listings = {split: Listing(archive or root, tuple(found)) for split, found in splits.items()}
    return FoundPictures(tuple(names), listings)


class _Placed(NamedTuple):
    """A picture by its place: its split ("" if no folder on the way is one) and class."""

    split: str
    name: str
    place: str
    size: int

    @classmethod
    def at(cls, place: str, size: int) -> _Placed:
        parents = PurePosixPath(place).parts[:-1]
        split = next((SPLITS[part.lower()] for part in parents[:-1] if part.lower() in SPLITS), "")
        return cls(split, parents[-1] if parents else "", place, size)


def _only_zip(root: Path) -> Path | None:
    """The one zip of a folder that holds nothing else."""
    try:
        entries = [entry for entry in os.scandir(root) if not of_the_system(entry.name)]
    except OSError as error:
        raise DataError(f"{printable(root)} cannot be read: {error.strerror}") from error
    zips = [Path(entry.path) for entry in entries if entry.name.lower().endswith(".zip")]
    return zips[0] if len(zips) == 1 and not any(entry.is_dir() for entry in entries) else None


def _in_folder(root: Path) -> Iterator[tuple[str, int]]:
    """Places and sizes of all files below a folder."""
    count = 0
    for folder, names, files in os.walk(root, onerror=_refuse):
        below = Path(folder).relative_to(root)
        names[:] = sorted(name for name in names if not of_the_system(name))
        if len(below.parts) > DEEPEST:
            raise DataError(f"{printable(Path(folder))} lies more than {DEEPEST} folders deep")
        for name in files:
            place = (below / name).as_posix()
            if of_the_system(place):
                continue
            count += 1
            if count > MOST_FILES:
                raise DataError(f"{printable(root)} must hold at most {MOST_FILES} files")
            yield place, _size(root / place)


def _refuse(error: OSError) -> None:
    raise DataError(
        f"{printable(Path(error.filename))} cannot be read: {error.strerror}"
    ) from error


def _size(path: Path) -> int:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise DataError(f"{printable(path)} cannot be read: {error.strerror}") from error
    if size > MOST_BYTES and is_picture(path.name):
        raise DataError(f"{printable(path)} has {size} bytes, more than {MOST_BYTES}")
    return size


def _in_zip(path: Path) -> Iterator[tuple[str, int]]:
    """Places and sizes of the members of a zip."""
    with archives.opened(path) as archive:
        for member in archive.infolist():
            if member.is_dir() or of_the_system(member.filename):
                continue
            _check(path, member)
            yield member.filename, member.file_size


def _check(path: Path, member: zipfile.ZipInfo) -> None:
    try:
        archives.check(member, MOST_BYTES)
    except DataError as error:
        place = f"{printable(path)}: {printable(member.filename)}"
        raise DataError(f"{place} cannot be read: {error}") from None


def _log_left_out(root: Path, places: list[str]) -> None:
    if places:
        named = ", ".join(printable(place) for place in places[:SHOWN])
        more = f" and {len(places) - SHOWN} more" if len(places) > SHOWN else ""
        logger.warning(
            "%s: left out, for they are no pictures of a class: %s%s", printable(root), named, more
        )
