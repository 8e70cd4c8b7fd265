"""Strict JSON, as this program writes it, with errors that name file and key.

Python's reader also accepts NaN, infinity, duplicate keys, and integers and nesting without limit.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from jaxode.bounded_files import read_bounded
from jaxode.checks import one_line, printable, shortened, shown

JsonObject: TypeAlias = dict[str, Any]
"""An object as `json` reads it. What its values are is checked where they are used, by `need`."""
Kind = TypeVar("Kind")

LIMIT = 1 << 26
"""Most bytes of a file, by default."""

DEPTH = 20
"""Most levels of nested objects and lists."""

INTEGER_DIGITS = 19
"""Digits of the largest integers of 64 bits."""

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


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """The object of these pairs. Raises ValueError if a key is listed twice."""
    members = dict(pairs)
    if len(members) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise ValueError(f"key {shown(twice)} is listed twice")
    return members


def _members(value: object, name: str) -> Iterator[tuple[str, object]]:
    """Members of an object or list by names such as `a.b[2]`; an object's keys by its name."""
    if isinstance(value, dict):
        for key, member in value.items():
            yield name, key
            yield f"{name}.{key}" if name else key, member
    elif isinstance(value, list):
        for index, member in enumerate(value):
            yield f"{name}[{index}]", member


def _check_scalar(name: str, value: object) -> None:
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


def _check(value: object) -> None:
    """Raise ValueError naming the first member that this program never writes."""
    level: list[tuple[str, object]] = [("", value)]
    for _ in range(DEPTH + 1):
        for name, member in level:
            _check_scalar(name, member)
        level = [inner for name, member in level for inner in _members(member, name)]
        if not level:
            return
    raise ValueError(f"{_short(level[0][0])} is nested more than {DEPTH} deep")


def loads(text: str | bytes, where: object) -> Any:
    """Parse a JSON text.

    Args:
      text: the text; bytes must be UTF-8.
      where: its name in messages, such as the path of its file.

    Returns:
      The value: None, bool, int, float, str, list or dict.

    Raises:
      ValueError: one line that names `where` and the key.

    Example:
      >>> from jaxode.strict_json import loads
      >>> loads('{"a": {"b": [1, NaN]}}', "config.json")
      Traceback (most recent call last):
      ValueError: config.json: a.b[1] must be a finite number, an integer of at most 64 bits
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
    """Parse a JSON text that is an object, with the arguments and errors of `loads`."""
    value = loads(text, where)
    if not isinstance(value, dict):
        raise ValueError(f"{where}: must be an object, got {_kind(value)}")
    return value


def read(path: Path, limit: int = LIMIT) -> Any:
    """Parse a file.

    Args:
      path: of a regular file.
      limit: most bytes that it may have.

    Raises:
      OSError: the file cannot be read.
      ValueError: it is too large, or see `loads`.
    """
    return loads(read_bounded(path, limit), path)


def read_object(path: Path, limit: int = LIMIT) -> dict[str, Any]:
    """Parse a file that is an object, with the arguments and errors of `read`."""
    return loads_object(read_bounded(path, limit), path)


def read_objects(path: Path, limit: int = LIMIT) -> list[dict[str, Any]]:
    """Parse a file of one object a line, as `read`; errors also name the line."""
    lines = read_bounded(path, limit).splitlines()
    return [loads_object(line, f"{path}, line {number}") for number, line in enumerate(lines, 1)]


def _kind(value: object) -> str:
    return "null" if value is None else KINDS[type(value)]


def _is_a(value: object, kind: type) -> bool:
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, (int, float) if kind is float else kind)


def need(content: Mapping[str, object], key: str, kind: type[Kind], where: object) -> Kind:
    """The value of a required key.

    Args:
      content: an object.
      key: one of its keys.
      kind: dict, list, str, bool, int, or float for any number.
      where: the object's name in messages.

    Raises:
      ValueError: one line that names `where` and the key, which is missing or of another type.
    """
    if key not in content:
        raise ValueError(f"{where}: {key} is missing")
    value: Any = content[key]
    if not _is_a(value, kind):
        raise ValueError(f"{where}: {key} must be {KINDS[kind]}, got {_kind(value)}")
    return value
