"""What the pickle machine makes of objects whose classes are not imported."""

from __future__ import annotations

from typing import Any, NamedTuple

KEYS = (str, int, float, bytes, type(None))
"""Types of a dict's keys and a set's members; Python hashes nested tuples by recursion in C."""


class RefusedName(ValueError):
    """A pickle refers to something that is no part of a file of weights.

    Args:
      name: its module and name.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class Named(NamedTuple):
    """A function or class that a pickle refers to, by its name alone."""

    name: str


class Record(dict[str, Any]):
    """The attributes of an object without methods, such as `argparse.Namespace`."""


class Opaque:
    """An object whose content is not needed: a date, a path, NumPy's scalar."""

    def __init__(self, *_: Any) -> None:
        pass


def hashable(key: Any) -> Any:
    """A key of a dict or a member of a set, which is no container. Raises ValueError."""
    if not isinstance(key, KEYS):
        raise ValueError(f"a key must be a name or a number, got {type(key).__name__}")
    return key
