"""The fields of a settings dataclass: each with its default, help text and allowed values."""

from __future__ import annotations

import collections.abc
import functools
import types
import typing
from collections.abc import Collection, Mapping
from dataclasses import field, fields, is_dataclass
from typing import TYPE_CHECKING, Any

from jaxode.checks import Range, allowed_number, require, require_choice, require_in, require_path
from jaxode.config.choices import MEANT

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

LONGEST_TEXT = 1000
"""Characters of a string that is neither a path nor one of several names."""

PLAIN = (bool, int, float, str)
"""Types that JSON stores as they are."""


def setting(
    default: bool | int | float | str | None,
    text: str,
    within: Range | None = None,
    *,
    path: bool = False,
    choices: Collection[str] | None = None,
    joined: bool = False,
) -> Any:
    """A dataclass field with metadata for the command line and for `check_fields`.

    Args:
      default: the default value; None if it depends on other settings.
      text: the help text.
      within: the allowed range; required for a number.
      path: whether a string is the path of a folder.
      choices: the registered names that a string may have, read whenever a value is checked. A
        class or function is then allowed as well.
      joined: whether a string is a list joined by commas, whose flag may be given several times.

    Returns:
      What `dataclasses.field` returns, with metadata `help`, `within`, `path`, `choices` and
      `joined`.

    Example:
      >>> from dataclasses import dataclass
      >>> from jaxode.checks import Range
      >>> from jaxode.config import check_fields, setting
      >>> @dataclass(frozen=True)
      ... class Walk:
      ...     steps: int = setting(10, "steps of a walk", Range(1, 100))
      ...     def __post_init__(self):
      ...         check_fields(self)
      >>> Walk(200)
      Traceback (most recent call last):
      jaxode.checks.ConfigError: steps must be a whole number from 1 to 100, got 200
    """
    metadata = {
        "help": text, "within": within, "path": path, "choices": choices, "joined": joined
    }  # fmt: skip
    return field(default=default, metadata=metadata)


@functools.cache
def hints(settings: type) -> dict[str, Any]:
    """The type of each field as it is parsed from a string.

    Args:
      settings: a dataclass of settings.

    Returns:
      int, float, bool, str, a `Literal` of strings or a dataclass, by the field's name; `| None`
      and `| Callable` are left out.

    Example:
      >>> from jaxode.config import OptimConfig, hints
      >>> hints(OptimConfig)["lr"]
      <class 'float'>
    """
    return {name: _of_text(hint) for name, hint in typing.get_type_hints(settings).items()}


def _of_text(hint: object) -> object:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        left_out = (type(None), collections.abc.Callable)
        members = typing.get_args(hint)
        (hint,) = (m for m in members if typing.get_origin(m) not in left_out and m not in left_out)
    return hint


def check_fields(settings: DataclassInstance) -> None:
    """Check type and range of every field of a frozen dataclass.

    NumPy's scalars are replaced by Python's.

    Args:
      settings: an instance of a dataclass whose fields are made by `setting` or are dataclasses.

    Raises:
      ConfigError: names the first field that is wrong, its value and what is allowed.
      TypeError: a field is declared with a type that has no check, or as a number without a range.

    Example:
      >>> from jaxode.config import OptimConfig, check_fields
      >>> check_fields(OptimConfig(lr=0.5))  # nothing is wrong
    """
    kinds = hints(type(settings))
    for spec in fields(settings):
        value, kind = getattr(settings, spec.name), kinds[spec.name]
        if typing.get_origin(kind) is tuple:
            continue  # a record, not a setting, which its class checks
        into: Any = kind if kind in PLAIN else str
        if value is None and spec.default is None:
            continue
        check_value(spec.name, value, kind, spec.metadata)
        if type(value) not in PLAIN and not is_dataclass(value) and not callable(value):
            object.__setattr__(settings, spec.name, into(value))


def check_value(name: str, value: object, kind: object, metadata: Mapping[str, Any]) -> None:
    """Raise ConfigError unless the value is of the field's type and in its range.

    Args:
      name: of the field.
      value: its value.
      kind: its type, as `hints` returns it.
      metadata: its metadata, as `setting` writes it.

    Raises:
      ConfigError: the value is of another type or out of range.
      TypeError: there is no check for this type.
    """
    if kind is int or kind is float:
        within = metadata["within"]
        if within is None:
            raise TypeError(f"{name} is a number without a range")
        require(value is not None, name, value, allowed_number(kind, within))
        require_in(name, value, within, kind)
    elif kind is bool:
        # By name: NumPy's bool has it too, and NumPy is not imported here.
        require(type(value).__name__ == "bool", name, value, "true or false")
    elif typing.get_origin(kind) is typing.Literal:
        require_choice(name, value, typing.get_args(kind), MEANT)
    elif kind is str and metadata["choices"] is not None:
        if not callable(value):
            require_choice(name, value, metadata["choices"], MEANT)
    elif kind is str:
        _check_text(name, value, path=metadata["path"])
    elif isinstance(kind, type) and is_dataclass(kind):
        require(isinstance(value, kind), name, value, f"a {kind.__name__}")
    else:
        raise TypeError(f"no check for settings of type {kind}: {name}")


def _check_text(name: str, value: object, *, path: bool) -> None:
    """Raise ConfigError unless a value is a string that is neither empty nor too long."""
    if not isinstance(value, str) or not value:
        require(False, name, value, "a text that is not empty")
    elif path:
        require_path(name, value)
    else:
        short = len(value) <= LONGEST_TEXT
        require(short, name, value, f"a text of at most {LONGEST_TEXT} characters")
