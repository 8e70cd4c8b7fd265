"""The fields of a settings dataclass: metadata beside each default, and the check by it."""

from __future__ import annotations

import collections.abc
import functools
import types
import typing
from collections.abc import Collection
from dataclasses import field, fields, is_dataclass
from typing import Any

from jaxode.checks import Range, allowed_number, require, require_choice, require_in, require_path
from jaxode.config.choices import MEANT

LONGEST_TEXT = 1000

PLAIN = (bool, int, float, str)


def setting(
    default: Any,
    text: str,
    within: Range | None = None,
    *,
    path: bool = False,
    choices: Collection[str] | None = None,
) -> Any:
    """A dataclass field with what the command line and the checks know of it.

    Args:
        default: its default; None also stands for a value that depends on other settings.
        text: its help text.
        within: what a number may be; every number needs it.
        path: whether a text is the path of a folder.
        choices: the names that a text can be, where they are registered: those that are there when
          a value is checked. Then a class or function of a user's own is taken as well.
    """
    known = {"help": text, "within": within, "path": path, "choices": choices}
    return field(default=default, metadata=known)


@functools.cache
def hints(settings: type) -> dict[str, Any]:
    """The type of each field as a text gives it: `| None` and objects left out."""
    return {name: _of_text(hint) for name, hint in typing.get_type_hints(settings).items()}


def _of_text(hint: Any) -> Any:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        left_out = (type(None), collections.abc.Callable)
        members = typing.get_args(hint)
        (hint,) = (m for m in members if typing.get_origin(m) not in left_out and m not in left_out)
    return hint


def check_fields(settings: Any) -> None:
    """Check type and range of every field of a frozen dataclass, and make NumPy's scalars Python's.

    Raises ConfigError naming the first that is wrong.
    """
    kinds = hints(type(settings))
    for spec in fields(settings):
        value, kind = getattr(settings, spec.name), kinds[spec.name]
        into: Any = kind if kind in PLAIN else str
        if value is None and spec.default is None:
            continue
        check_value(spec.name, value, kind, spec.metadata)
        if type(value) not in PLAIN and not is_dataclass(value) and not callable(value):
            object.__setattr__(settings, spec.name, into(value))


def check_value(name: str, value: Any, kind: Any, metadata: typing.Mapping[str, Any]) -> None:
    """Raise ConfigError unless the value is of the field's type and in its range."""
    if kind in (int, float):
        within = metadata["within"]
        if within is None:
            raise TypeError(f"{name} is a number without a range")
        require(value is not None, name, value, allowed_number(kind, within))
        require_in(name, value, within, kind)
    elif kind is bool:
        # NumPy's has the same name, and this package imports nothing but the standard library.
        require(type(value).__name__ == "bool", name, value, "true or false")
    elif typing.get_origin(kind) is typing.Literal:
        require_choice(name, value, typing.get_args(kind), MEANT)
    elif kind is str and metadata["choices"] is not None:
        if not callable(value):
            require_choice(name, value, metadata["choices"], MEANT)
    elif kind is str:
        require(isinstance(value, str) and len(value) > 0, name, value, "a text that is not empty")
        if metadata["path"]:
            require_path(name, value)
        else:
            require(
                len(value) <= LONGEST_TEXT,
                name,
                value,
                f"a text of at most {LONGEST_TEXT} characters",
            )
    elif isinstance(kind, type) and is_dataclass(kind):
        require(isinstance(value, kind), name, value, f"a {kind.__name__}")
    else:
        raise TypeError(f"no check for settings of type {kind}: {name}")
