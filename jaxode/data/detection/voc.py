"""Pascal VOC's layout: Annotations, ImageSets/Main and JPEGImages. BCCD has it too."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxode.checks import one_line
from jaxode.data import regular
from jaxode.data.detection.annotations import Annotation, read_annotation, sound_objects
from jaxode.data.detection.boxed_images import BoxedImages, padded_objects
from jaxode.data.detection.canvas import on_canvas
from jaxode.data.folders import MOST_BYTES
from jaxode.data.pictures import PictureError, opened
from jaxode.data.regular import printable
from jaxode.data.specs import DataError

PARTS = ("Annotations", "ImageSets/Main", "JPEGImages")
ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".JPG", ".JPEG", ".PNG", ".BMP")

MOST_IMAGES = 200_000
MOST_CLASSES = 1000
LARGEST_LIST = 2**25
"""Bytes of a list of images."""


class VocSplits(NamedTuple):
    """The images of a data set.

    Args:
      class_names: sorted; a class is its place among them.
      train: to learn from.
      test: to be scored on.
      validation: to choose an epoch by, if there are any.
      remarks: a line about each object that was left out or cut.

    Example:
      >>> from jaxode.data.detection import VocSplits
      >>> VocSplits._fields
      ('class_names', 'train', 'test', 'validation', 'remarks')
    """

    class_names: tuple[str, ...]
    train: BoxedImages
    test: BoxedImages
    validation: BoxedImages | None
    remarks: tuple[str, ...]


def read_voc(folder: Path, rows: int, columns: int, *, hold_validation: bool = False) -> VocSplits:
    """Read a data set in Pascal VOC's layout.

    The classes are those of the training images' objects. `ImageSets/Main` lists the images of
    `train`, `val`, `trainval` and `test`, a name a line. Training images are those of `trainval`,
    or of `train` and `val`; where there is no `test`, `val` is scored on, and not learned from.

    Args:
      folder: that holds Annotations, ImageSets/Main and JPEGImages, or has a folder that does, up
        to two levels below: `VOCdevkit/VOC2007`.
      rows: of the canvas that pictures are resized to fit, in pixels.
      columns: of that canvas.
      hold_validation: whether `val` is held out to choose an epoch by; it must be there, and `test`
        too.

    Returns:
      Splits whose images have room for equally many objects.

    Raises:
      DataError: files that are missing or cannot be read, an image that is listed twice, and what
        `read_annotation` raises; each names the file, and the object where there is one.

    Example:
      >>> from pathlib import Path
      >>> from jaxode.data.detection import read_voc
      >>> read_voc(Path("no such folder"), 240, 320)  # doctest: +ELLIPSIS
      Traceback (most recent call last):
      jaxode.data.specs.DataError: no such folder must hold Annotations, ImageSets/Main, ...
    """
    root = find_root(folder)
    lists = _lists(root, hold_validation=hold_validation)
    annotations = {
        name: read_annotation(root / "Annotations" / f"{name}.xml")
        for names in lists.values()
        for name in names
    }
    names = {one.name for image in lists["train"] for one in annotations[image].objects}
    if not names:
        raise DataError(f"{printable(root)}: no training image has an object")
    if len(names) > MOST_CLASSES:
        raise DataError(f"{printable(root)}: {len(names)} classes, more than {MOST_CLASSES}")
    classes = tuple(sorted(names))
    remarks: list[str] = []
    parts = {
        split: _images(root, images, annotations, classes, (rows, columns), remarks)
        for split, images in lists.items()
    }
    most = max(part.classes.shape[1] for part in parts.values())
    parts = {split: part.padded_to(most) for split, part in parts.items()}
    if not parts["train"].objects:
        raise DataError(f"{printable(root)}: no training image has an object that can be learned")
    return VocSplits(
        classes, parts["train"], parts["test"], parts.get("validation"), tuple(remarks)
    )


def find_root(folder: Path) -> Path:
    """The folder with VOC's three parts: the one given, or the only such one below it."""

    def complete(path: Path) -> bool:
        return all((path / part).is_dir() for part in PARTS)

    try:
        if complete(folder):
            return folder
        below = [*folder.glob("*/"), *folder.glob("*/*/")] if folder.is_dir() else []
        found = sorted(path for path in below if complete(path))
    except OSError as error:
        raise DataError(f"{printable(folder)}: cannot be read: {one_line(error)}") from None
    if not found:
        raise DataError(f"{printable(folder)} must hold {', '.join(PARTS)}")
    if len(found) > 1:
        named = ", ".join(printable(path) for path in found[:5])
        raise DataError(f"{printable(folder)} holds several data sets, {named}: choose one")
    return found[0]


def _lists(root: Path, *, hold_validation: bool) -> dict[str, list[str]]:
    """Names of the images of each split."""
    main = root / "ImageSets" / "Main"
    there = {
        name for name in ("train", "val", "trainval", "test") if (main / f"{name}.txt").exists()
    }

    def read(*names: str) -> list[str]:
        missing = [f"{name}.txt" for name in names if name not in there]
        if missing:
            raise DataError(f"{printable(main)} must hold {' and '.join(missing)}")
        return [image for name in names for image in read_list(main / f"{name}.txt")]

    if hold_validation:
        lists = {"train": read("train"), "test": read("test"), "validation": read("val")}
    elif "test" not in there:
        lists = {"train": read("train"), "test": read("val")}
    else:
        both = read("trainval") if "trainval" in there else read("train", "val")
        lists = {"train": both, "test": read("test")}
    for split, names in lists.items():
        if not names:
            raise DataError(f"{printable(main)}: no image of the {split} split")
        if len(names) > MOST_IMAGES:
            raise DataError(f"{printable(main)}: {len(names)} images, more than {MOST_IMAGES}")
    seen: set[str] = set()
    for name in (name for names in lists.values() for name in names):
        if name in seen:
            raise DataError(f"{printable(main)}: {printable(name)} is listed twice")
        seen.add(name)
    return lists


def read_list(path: Path) -> list[str]:
    """The first word of each line of a list of images.

    Args:
      path: of the list.

    Raises:
      DataError: it cannot be read, or a word is no name of a file.
    """
    try:
        text = regular.contents(path, LARGEST_LIST).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{printable(path)}: cannot be read: {one_line(error)}") from None
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words:
            continue
        name = words[0]
        if "/" in name or "\\" in name or name.startswith(".") or not name.isprintable():
            raise DataError(f"{printable(path)}, line {number}: no name of an image: {name[:60]!r}")
        found.append(name)
    return found


def _images(
    root: Path,
    images: Sequence[str],
    annotations: dict[str, Annotation],
    classes: Sequence[str],
    canvas: tuple[int, int],
    remarks: list[str],
) -> BoxedImages:
    """The images of a split; adds to the remarks."""
    pixels, extents, boxes, kinds, difficult = [], [], [], [], []
    for name in images:
        path = picture_path(root / "JPEGImages", name)
        try:
            picture = opened(regular.contents(path, MOST_BYTES))
        except OSError as error:
            reason = one_line(error.strerror or error)
            raise DataError(f"{printable(path)}: cannot be read: {reason}") from None
        except PictureError as error:
            raise DataError(f"{printable(path)}: {error}") from None
        where = printable(root / "Annotations" / f"{name}.xml")
        annotation = annotations[name]
        if annotation.size not in (None, picture.size):
            found, said = (
                f"{width} x {height}" for width, height in (picture.size, annotation.size)
            )
            remarks.append(f"{where}: says that the image has {said} pixels; it has {found}")
        objects, more = sound_objects(annotation, picture.size, classes, where)
        remarks += more
        shown = on_canvas(picture, *canvas)
        pixels.append(shown.pixels)
        extents.append(shown.extent)
        scale = np.tile(shown.scale, 2)
        boxes.append(np.array([one.box for one in objects]).reshape(-1, 4) * scale)
        kinds.append([classes.index(one.name) for one in objects])
        difficult.append([one.difficult for one in objects])
    arrays = padded_objects(boxes, kinds, difficult)
    return BoxedImages(np.stack(pixels), np.stack(extents), *arrays, names=tuple(images))


def picture_path(folder: Path, name: str) -> Path:
    """The picture of that name, whatever its ending. Raises DataError if there is none."""
    for ending in ENDINGS:
        path = folder / f"{name}{ending}"
        if path.exists():
            return path
    raise DataError(
        f"{printable(folder / name)}: no picture of that name ({', '.join(ENDINGS[:4])})"
    )
