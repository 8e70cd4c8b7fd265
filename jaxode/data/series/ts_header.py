"""The header of a .ts file of the UEA archive: what it says of the series that follow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from jaxode.checks import closest, shown
from jaxode.data.specs import DataError

TAGS = {
    "problemname": "text",
    "timestamps": "bool",
    "missing": "bool",
    "univariate": "bool",
    "dimension": "count",
    "dimensions": "count",
    "equallength": "bool",
    "serieslength": "count",
    "classlabel": "classes",
    "targetlabel": "bool",
}
"""What may stand in a header, in small letters, and what follows it."""


@dataclass(frozen=True)
class Header:
    """What a file says of its series.

    Args:
      timestamps: whether each value stands in a pair with its time.
      dimensions: channels of a series; None where it is not said.
      length: points of a series where all have as many; None where it is not said.
      equal_length: whether all series have as many points.
      class_names: in the order of the header; empty where series have no class.
    """

    timestamps: bool = False
    dimensions: int | None = None
    length: int | None = None
    equal_length: bool = False
    class_names: tuple[str, ...] = ()


def read_header(path: Path, lines: Iterator[tuple[int, str]]) -> Header:
    """The header, of which the iterator gives the lines up to "@data".

    Args:
      path: of the file, for messages.
      lines: with their numbers.

    Raises:
      DataError: a line that belongs in no header, or contradicts another; named by its number.
    """
    found: dict[str, object] = {}
    for number, line in lines:
        if not line or line.startswith("#"):
            continue
        where = f"{path}, line {number}"
        tag, *words = line.split()
        name = tag.lower().removeprefix("@")
        if not tag.startswith("@"):
            raise DataError(
                f"{where}: a tag such as @classLabel must come first, got {shown(line)}"
            )
        if name == "data":
            if words:
                raise DataError(f"{where}: nothing may follow @data on its line")
            return _header(path, found)
        if name not in TAGS:
            close = closest(name, TAGS)
            hint = f": did you mean @{close}?" if close else ""
            raise DataError(f"{where}: unknown tag {shown(tag)}{hint}")
        if name in found:
            raise DataError(f"{where}: {shown(tag)} is there twice")
        found[name] = _value(TAGS[name], words, f"{where}: {shown(tag)}")
    raise DataError(f"{path}: the header must end with @data, which is missing")


def _value(kind: str, words: list[str], where: str) -> object:
    if kind == "text":
        return " ".join(words)
    first = words[0].lower() if words else ""
    if kind == "count":
        if len(words) != 1 or not (first.isascii() and first.isdigit() and 0 < int(first) < 10**9):
            raise DataError(f"{where} must be a whole number of 1 or more, got {shown(words)}")
        return int(first)
    if first not in ("true", "false") or (kind == "bool" and len(words) != 1):
        raise DataError(f"{where} must be true or false, got {shown(' '.join(words))}")
    if kind == "bool":
        return first == "true"
    names = tuple(words[1:])
    if (first == "true") != bool(names) or len(set(names)) != len(names):
        raise DataError(f"{where} must be false, or true and different names of classes")
    return names


def _header(path: Path, found: dict[str, object]) -> Header:
    if found.get("targetlabel"):
        raise DataError(f"{path}: a target that is a number (@targetLabel true) is not supported")
    if "dimension" in found and "dimensions" in found:
        raise DataError(f"{path}: has both @dimension and @dimensions")
    dimensions = found.get("dimensions", found.get("dimension"))
    if found.get("univariate"):
        if dimensions not in (None, 1):
            raise DataError(f"{path}: says @univariate true and @dimensions {dimensions}")
        dimensions = 1
    length = found.get("serieslength")
    equal = bool(found.get("equallength"))
    if length is not None and "equallength" in found and not equal:
        raise DataError(f"{path}: says @equalLength false and @seriesLength {length}")
    names = found.get("classlabel", ())
    stamped = bool(found.get("timestamps"))
    return Header(stamped, dimensions, length, equal, names)  # type: ignore[arg-type]
