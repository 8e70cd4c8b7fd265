"""The lines of a text file from outside, bounded; numbers in it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from jaxode.checks import ConfigError, one_line, shown
from jaxode.data import regular
from jaxode.data.specs import DataError

LONGEST_LINE = 2**25
"""Bytes: room for a series of a million values and more."""


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a file with their numbers, from 1, without blanks about them.

    Raises:
      ConfigError: the file cannot be read.
      DataError: a line that is longer than `LONGEST_LINE` or no UTF-8; named by its number.
    """
    try:
        with regular.opened(path) as file:
            number = 0
            while content := file.readline(LONGEST_LINE + 1):
                number += 1
                if len(content) > LONGEST_LINE:
                    raise DataError(f"{path}, line {number}: longer than {LONGEST_LINE} bytes")
                try:
                    yield number, content.decode("utf-8-sig" if number == 1 else "utf-8").strip()
                except UnicodeDecodeError as error:
                    raise DataError(f"{path}, line {number}: {one_line(error)}") from None
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {one_line(error)}") from error


def number(word: str) -> float:
    """A finite number in decimal notation.

    Raises:
      ValueError: it is none; "1_000", which Python would read, is none either.
    """
    try:
        value = float(word) if word.isascii() and "_" not in word else math.nan
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"must be a finite number, got {shown(word)}")
    return value
