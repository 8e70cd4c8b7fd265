"""Pascal VOC's annotation of an image: an XML file that lists objects and their boxes."""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from jaxode.checks import one_line, shown
from jaxode.data import regular
from jaxode.data.regular import printable
from jaxode.data.specs import DataError

MOST_BYTES = 2**22
"""Of a file: more than a thousand times that of an image with two objects."""

MOST_OBJECTS = 1024
LONGEST_NAME = 100

CORNERS = ("xmin", "ymin", "xmax", "ymax")
DECLARATION = re.compile(r"<!(?!--|\[CDATA\[)")
"""Of a document type or an entity, which an annotation has no use for."""


class AnnotatedObject(NamedTuple):
    """An object of an image.

    Args:
      number: from 1, in the order of the file.
      name: of its class.
      box: x and y of the corner nearest to the origin, then of the opposite one, in pixels.
      difficult: whether it need not be found.

    Example:
      >>> from jaxode.data.detection import AnnotatedObject
      >>> AnnotatedObject(1, "RBC", (0.0, 0.0, 4.0, 4.0), False).name
      'RBC'
    """

    number: int
    name: str
    box: tuple[float, float, float, float]
    difficult: bool


class Annotation(NamedTuple):
    """What an annotation says.

    Args:
      objects: in the order of the file.
      size: width and height of the image in pixels; None if it does not say.

    Example:
      >>> from jaxode.data.detection import Annotation
      >>> Annotation((), (640, 480)).size
      (640, 480)
    """

    objects: tuple[AnnotatedObject, ...]
    size: tuple[int, int] | None


def read_annotation(path: Path) -> Annotation:
    """Read a file as LabelImg and Pascal VOC's own tools write it.

    Coordinates are taken as they are in the file.

    Args:
      path: of the file, of at most 4 MiB.

    Raises:
      DataError: it cannot be read, is no XML, declares entities, or an object lacks a name or has a
        box whose corners are no finite numbers; names the file and the object.

    Example:
      >>> import tempfile
      >>> from pathlib import Path
      >>> from jaxode.data.detection import read_annotation
      >>> box = "<xmin>1</xmin><ymin>2</ymin><xmax>9</xmax><ymax>8</ymax>"
      >>> text = f"<object><name>WBC</name><bndbox>{box}</bndbox></object>"
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     path = Path(folder, "cell.xml")
      ...     _ = path.write_text(f"<annotation>{text}</annotation>")
      ...     read_annotation(path).objects[0].box
      (1.0, 2.0, 9.0, 8.0)
    """
    where = printable(path)
    try:
        text = regular.contents(path, MOST_BYTES).decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"{where}: cannot be read: {one_line(error.strerror or error)}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: no UTF-8: {one_line(error)}") from None
    if DECLARATION.search(text):
        raise DataError(f"{where}: declares a document type or entities, which are not read")
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError) as error:
        raise DataError(f"{where}: no XML: {one_line(error)}") from None
    if root.tag != "annotation":
        raise DataError(f"{where}: its root must be annotation, got {shown(root.tag)}")
    found = root.findall("object")
    if len(found) > MOST_OBJECTS:
        raise DataError(f"{where}: has {len(found)} objects, more than {MOST_OBJECTS}")
    objects = tuple(_object(item, i, where) for i, item in enumerate(found, 1))
    return Annotation(objects, _size(root.find("size"), where))


def _object(item: ElementTree.Element, number: int, where: str) -> AnnotatedObject:
    place = f"{where}, object {number}"
    name = " ".join((item.findtext("name") or "").split())
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise DataError(
            f"{place}: its name must be a text of 1 to {LONGEST_NAME} characters, got {shown(name)}"
        )
    place = f"{place} ({name})"
    box = item.find("bndbox")
    if box is None:
        raise DataError(f"{place}: has no bndbox")
    x0, y0, x1, y1 = (_number(box.findtext(corner), f"{place}: {corner}") for corner in CORNERS)
    difficult = (item.findtext("difficult") or "0").strip()
    if difficult not in ("0", "1"):
        raise DataError(f"{place}: difficult must be 0 or 1, got {shown(difficult)}")
    return AnnotatedObject(number, name, (x0, y0, x1, y1), difficult == "1")


def _number(text: str | None, what: str) -> float:
    if text is None:
        raise DataError(f"{what} is missing")
    word = text.strip()
    try:
        value = float(word) if word.isascii() and "_" not in word else math.nan
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or abs(value) > 1e9:
        raise DataError(f"{what} must be a finite number, got {shown(word)}")
    return value


def _size(item: ElementTree.Element | None, where: str) -> tuple[int, int] | None:
    """Width and height; None where the file has none, or zeros, as some tools write."""
    if item is None:
        return None
    width, height = (
        int(_number(item.findtext(name) or "0", f"{where}: {name}")) for name in ("width", "height")
    )
    return (width, height) if width > 0 and height > 0 else None


def sound_objects(
    annotation: Annotation, size: tuple[int, int], names: Collection[str], where: str
) -> tuple[list[AnnotatedObject], list[str]]:
    """The objects that can be learned, clipped to the image, and a line about each other one.

    Args:
      annotation: of the image.
      size: width and height of the image.
      names: of the classes.
      where: the file, for the lines.

    Returns:
      Objects that have an area within the image and a known class, and remarks.
    """
    kept, remarks = [], []
    for one in annotation.objects:
        x0, y0, x1, y1 = one.box
        within = (max(x0, 0.0), max(y0, 0.0), min(x1, float(size[0])), min(y1, float(size[1])))
        place = f"{where}, object {one.number} ({one.name})"
        numbers = ", ".join(f"{value:g}" for value in one.box)
        if x1 <= x0 or y1 <= y0:
            remarks.append(f"{place}: left out, its box {numbers} has no area")
        elif within[2] <= within[0] or within[3] <= within[1]:
            remarks.append(f"{place}: left out, its box {numbers} is outside the image")
        elif one.name not in names:
            remarks.append(f"{place}: left out, no object of that class is in the training images")
        else:
            if within != one.box:
                inside = f"{size[0]} x {size[1]} pixels"
                remarks.append(f"{place}: its box {numbers} is cut to the image, {inside}")
            kept.append(one._replace(box=within))
    return kept, remarks
