"""A model's settings from the JSON file that a run records them in."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

from jaxode.checks import ConfigError, require

Settings = TypeVar("Settings")


def settings_of(kind: type[Settings], values: Mapping[str, object], file: str) -> Settings:
    """Settings that are whole numbers and texts, of what `dataclasses.asdict` gave.

    Args:
      kind: a dataclass whose fields are annotated int or str.
      values: by name.
      file: name of the file, for messages.

    Raises:
      ConfigError: names that are missing or unknown, a value of another type, or what the
        dataclass itself raises.

    Example:
      >>> import dataclasses
      >>> from jaxode.models.detector_config import FILE, DetectorConfig
      >>> from jaxode.models.recorded_settings import settings_of
      >>> settings_of(DetectorConfig, dataclasses.asdict(DetectorConfig(3)), FILE).classes
      3
    """
    check_names(kind, values, file)
    fields: Any = kind
    for each in dataclasses.fields(fields):
        wanted = int if each.type in ("int", int) else str
        value = values[each.name]
        require(type(value) is wanted, each.name, value, f"of type {wanted.__name__}")
    return kind(**values)


def check_names(kind: type, values: Mapping[str, object], file: str) -> None:
    """Raise ConfigError unless the values are named as the fields of a dataclass.

    Args:
      kind: the dataclass.
      values: by name.
      file: name of the file, for the message.
    """
    names = {each.name for each in dataclasses.fields(kind)}
    if set(values) != names:
        raise ConfigError(f"{file} must have {', '.join(sorted(names))}, got {sorted(values)}")
