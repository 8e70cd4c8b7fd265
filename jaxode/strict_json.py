"""JSON as this program writes it and nothing else, with errors that name file and key.

Python's own reader takes more: NaN, infinity, the last of two equal keys, integers and nesting
without end.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

from jaxode.bounded_files import read_bounded
from jaxode.checks import one_line, printable, shortened, shown

JsonObject: TypeAlias = dict[str, Any]
"""An object as `json` reads it. What its values are is checked where they are used, by `need`."""

LIMIT = 1 << 26
"""Bytes of a file, unless another limit is given."""

DEPTH = 20
"""Objects and lists within each other."""

INTEGER_DIGITS = 19
"""Of the largest integers of 64 bits."""

KINDS = {
    dict: "an object",
    list: "a list",
    str: "a string",
    int: "an integer",
    float: "a number",
    bool: "a boolean",
}


def _short(name: str) -> str:
    return shortened(printable(name))


def _integer(digits: str) -> float:
    """An integer, or infinity, which `_check` refuses, in place of one that is too large."""
    return int(digits) if len(digits.lstrip("-")) <= INTEGER_DIGITS else math.inf


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object. Raises ValueError if it lists a key twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise ValueError(f"key {shown(twice)} is listed twice")
    return found


def _members(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    """What an object or a list holds, by names such as `a.b[2]`; an object's keys by its name."""
    if isinstance(value, dict):
        for key, member in value.items():
            yield name, key
            yield f"{name}.{key}" if name else key, member
    elif isinstance(value, list):
        for index, member in enumerate(value):
            yield f"{name}[{index}]", member


def _check_scalar(name: str, value: Any) -> None:
    """Raise ValueError naming a number or a string that this program never writes."""
    if isinstance(value, float) and not math.isfinite(value):
        allowed = "a finite number, an integer of at most 64 bits"
        raise ValueError(f"{_short(name) or 'the value'} must be {allowed}")
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise ValueError(
                f"{_short(name) or shown(value)} must be text, got {shown(value)}"
            ) from error


def _check(value: Any) -> None:
    """Raise ValueError naming the first thing in a value that this program never writes."""
    level = [("", value)]
    for _ in range(DEPTH + 1):
        for name, member in level:
            _check_scalar(name, member)
        level = [found for name, member in level for found in _members(member, name)]
        if not level:
            return
    raise ValueError(f"{_short(level[0][0])} is nested more than {DEPTH} deep")


def loads(text: str | bytes, where: object) -> Any:
    """The value of a JSON text.

    Args:
        text: the text; bytes must be UTF-8.
        where: what an error calls it, such as the path of its file.

    Raises:
        ValueError: one line that names `where` and the key.
    """
    try:
        decoded = text.decode() if isinstance(text, bytes) else text
        value = json.loads(decoded, object_pairs_hook=_unique, parse_int=_integer)
        _check(value)
    except UnicodeDecodeError as error:
        raise ValueError(f"{where}: not UTF-8 from byte {error.start} on") from error
    except RecursionError as error:
        raise ValueError(f"{where}: nested more than {DEPTH} deep") from error
    except ValueError as error:
        raise ValueError(f"{where}: {one_line(error)}") from error
    return value


def loads_object(text: str | bytes, where: object) -> dict[str, Any]:
    """The object of a JSON text, with the arguments and errors of `loads`."""
    value = loads(text, where)
    if not isinstance(value, dict):
        raise ValueError(f"{where}: must be an object, got {_kind(value)}")
    return value


def read(path: Path, limit: int = LIMIT) -> Any:
    """The value in a file of at most `limit` bytes. Raises OSError, ValueError."""
    return loads(read_bounded(path, limit), path)


def read_object(path: Path, limit: int = LIMIT) -> dict[str, Any]:
    """The object in a file of at most `limit` bytes. Raises OSError, ValueError."""
    return loads_object(read_bounded(path, limit), path)


def read_objects(path: Path, limit: int = LIMIT) -> list[dict[str, Any]]:
    """The objects in a file, one a line. Raises OSError, and ValueError naming the line too."""
    lines = read_bounded(path, limit).splitlines()
    return [loads_object(line, f"{path}, line {number}") for number, line in enumerate(lines, 1)]


def _kind(value: Any) -> str:
    return "null" if value is None else KINDS[type(value)]


def need(content: dict[str, Any], key: str, kind: type, where: object) -> Any:
    """The value of a key.

    Args:
        content: an object.
        key: one of its keys.
        kind: dict, list, str, bool, int, or float for any number.
        where: what an error calls the object.

    Raises:
        ValueError: one line that names `where` and the key, which is missing or of another kind.
    """
    if key not in content:
        raise ValueError(f"{where}: {key} is missing")
    value = content[key]
    kinds = (int, float) if kind is float else kind
    if not isinstance(value, kinds) or (isinstance(value, bool) and kind is not bool):
        raise ValueError(f"{where}: {key} must be {KINDS[kind]}, got {_kind(value)}")
    return value
