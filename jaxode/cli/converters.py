"""Text of a flag to its value, with errors that say what was wanted. Imports nothing slow."""

from __future__ import annotations

import argparse
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxode.checks import (
    ConfigError,
    Range,
    allowed_number,
    closest,
    host_and_port,
    require_path,
    shown,
)
from jaxode.data import dataset_names, is_registered

NUMBERS = {
    int: re.compile(r"[+-]?[0-9]{1,30}"),
    float: re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?", re.IGNORECASE),
}
"""How numbers are written.

Python's own int and float take digits of all scripts, underscores and "infinity" too.
"""


@dataclass(frozen=True)
class Number:
    """Text to an int or a float in a range, with an error that says what was wanted."""

    kind: type
    within: Range

    def __call__(self, text: str) -> Any:
        """The number. Raises ArgumentTypeError."""
        value = self.kind(text) if NUMBERS[self.kind].fullmatch(text) else math.nan
        if value not in self.within:
            got = shown(value if math.isfinite(value) else text)
            raise argparse.ArgumentTypeError(
                f"must be {allowed_number(self.kind, self.within)}, got {got}"
            )
        return value


@dataclass(frozen=True)
class Choice:
    """Text that is one of some names, with an error that suggests the closest."""

    names: tuple[str, ...]

    def __call__(self, text: str) -> str:
        """The name. Raises ArgumentTypeError."""
        if text not in self.names:
            close = closest(text, self.names)
            hint = f": did you mean {close}?" if close else ""
            raise argparse.ArgumentTypeError(
                f"must be one of {', '.join(self.names)}, got {shown(text)}{hint}"
            )
        return text


def dataset_name(text: str) -> str:
    """The name of a registered data set. Raises ArgumentTypeError."""
    return text if is_registered(text) else Choice(dataset_names())(text)


def path_text(text: str) -> str:
    """Text that can be a path: not empty, without NUL, not too long. Raises ArgumentTypeError."""
    try:
        require_path("it", text)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error).removeprefix("it ")) from None
    return text


def to_path(text: str) -> Path:
    """The path. Raises ArgumentTypeError as `path_text` does."""
    return Path(path_text(text))


def nonempty(text: str) -> str:
    """Text that is not empty. Raises ArgumentTypeError."""
    if not text:
        raise argparse.ArgumentTypeError("must be a text that is not empty, got ''")
    return text


def address(text: str) -> str:
    """Text that is HOST:PORT. Raises ArgumentTypeError."""
    try:
        host_and_port("it", text)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error).removeprefix("it ")) from None
    return text
