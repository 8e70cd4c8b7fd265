"""Checks of settings, each answered in one line: what is wrong, its value, what is allowed.

Standard library only.
"""

from __future__ import annotations

import difflib
import numbers
import os
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

LONGEST_VALUE = 60
"""Characters of a value in a message; of a longer one, its beginning and its end are printed."""

LONGEST_NAME, LONGEST_PATH = 255, 4095
"""Bytes of a file's name and of a path, the limits of Linux."""

DIGITS_IN_WORDS = 50
"""Integers of more digits are described in messages: Python refuses to write out those of
thousands.
"""

ADDRESS = re.compile(r"(?:\[([0-9A-Za-z:.%]+)\]|([0-9A-Za-z._-]+)):([0-9]{1,5})")


class ConfigError(ValueError):
    """A setting that is out of its allowed range, or settings that contradict each other."""


class Range(NamedTuple):
    """The smallest and the largest value that a number may have."""

    at_least: float
    at_most: float

    def __contains__(self, value: Any) -> bool:
        """Whether a number lies in the range; NaN lies in none."""
        real: Any = numbers.Real  # NumPy's scalars are registered there
        return isinstance(value, real) and bool(self.at_least <= value <= self.at_most)

    def __str__(self) -> str:
        """The range in words."""
        return f"from {self.short}"

    @property
    def short(self) -> str:
        """Its two ends."""
        return f"{plain(self.at_least)} to {plain(self.at_most)}"


def plain(number: float) -> str:
    """A number as people write it."""
    return str(number) if isinstance(number, int) else f"{number:g}"


PORTS = Range(1, 65535)
PROCESSES = Range(1, 4096)
"""How many a run of several can have."""

JOIN_SECONDS = Range(0.1, 86_400)
"""How long the processes of a run may wait for each other."""

SEEDS = Range(0, 2**32 - 1)
COUNTS = Range(1, 10**9)
"""Of images, rows and whatever has no tighter bound."""


def printable(text: str) -> str:
    """The text with control characters, surrogates and invisible characters escaped.

    Escapes are those of a Python string.
    """
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def one_line(error: object) -> str:
    """What an error says, in one line that is safe to print."""
    return printable(" ".join(str(error).split()))


def shortened(text: str) -> str:
    """The text, or its beginning and its end if it is long."""
    tail = LONGEST_VALUE // 4
    return (
        text
        if len(text) <= LONGEST_VALUE
        else f"{text[: LONGEST_VALUE - tail - 3]}...{text[-tail:]}"
    )


def shown(value: object) -> str:
    """A value for a message: as Python writes it, in printable characters, and not too long."""
    if isinstance(value, int) and value.bit_length() > DIGITS_IN_WORDS * 3.33:
        return f"a whole number of about {int(value.bit_length() * 0.30103) + 1} digits"
    try:
        text = repr(shortened(value) if isinstance(value, str) else value)
    except (
        Exception
    ):  # an integer of thousands of digits in a list, or a class of which nothing is known
        text = f"a {type(value).__name__}"
    return shortened(printable(text))


def any_of(names: Collection[str]) -> str:
    """Names for a message: "a, b or c"."""
    *first, last = names
    return f"{', '.join(first)} or {last}" if first else last


def require(condition: bool, name: str, value: object, allowed: str) -> None:
    """Raise ConfigError with setting, value and what is allowed, unless the condition holds."""
    if not condition:
        raise ConfigError(f"{name} must be {allowed}, got {shown(value)}")


def require_in(name: str, value: object, within: Range, kind: type = int) -> None:
    """Raise ConfigError unless value is None or a number of that kind (int or float) in a range.

    Booleans are no numbers, and a float is no integer, though it be whole.
    """
    if value is not None:
        family = numbers.Integral if kind is int else numbers.Real
        good = isinstance(value, family) and not isinstance(value, bool) and value in within
        require(good, name, value, allowed_number(kind, within))


def allowed_number(kind: type, within: Range) -> str:
    """What a number may be, in words."""
    return f"a {'whole ' if kind is int else ''}number {within}"


def require_count(name: str, value: int | None, at_least: int = 1) -> None:
    """Raise ConfigError unless value is None or a whole number from `at_least` to 10⁹."""
    require_in(name, value, COUNTS._replace(at_least=at_least))


def require_choice(
    name: str, value: object, choices: Collection[str], meant: Mapping[str, str] | None = None
) -> None:
    """Raise ConfigError unless value is one of some names.

    Args:
        name: the setting.
        value: its value.
        choices: the names.
        meant: other people's words for the choices, from which the message suggests one.

    Raises:
        ConfigError: any other value.
    """
    if not (isinstance(value, str) and value in choices):
        close = closest(value, choices, meant) if isinstance(value, str) else None
        hint = f": did you mean {close}?" if close else ""
        raise ConfigError(f"{name} must be one of {', '.join(choices)}, got {shown(value)}{hint}")


def closest(word: str, known: Iterable[str], meant: Mapping[str, str] | None = None) -> str | None:
    """The known word that was most likely meant: by its meaning first, then by its spelling.

    Args:
        word: what was given.
        known: the words there are.
        meant: other people's words for them, each with a known word, and perhaps a second one after
          a space.
    """
    known = list(known)
    meant = {key: target for key, target in (meant or {}).items() if target.split()[0] in known}
    word = word[
        :LONGEST_VALUE
    ].lower()  # the comparison takes time that grows with the square of the length
    if word in meant:
        return meant[word]
    spelled = {name.lower(): name for name in known} | {key: key for key in meant}
    found = difflib.get_close_matches(word, spelled, n=1, cutoff=0.6)
    return meant.get(found[0], spelled[found[0]]) if found else None


def require_path(name: str, value: str) -> None:
    """Raise ConfigError unless value can be a path.

    A path is not empty, has no NUL, and is no longer than the system allows.
    """
    require(value != "", name, value, "a path, which is not empty")
    require("\0" not in value, name, value, "a path, which has no NUL character")
    try:
        encoded = os.fsencode(value)
    except UnicodeEncodeError:
        raise ConfigError(
            f"{name} must be a path in the system's encoding, got {shown(value)}"
        ) from None
    long = len(encoded) > LONGEST_PATH or max(map(len, encoded.split(b"/"))) > LONGEST_NAME
    allowed = f"a path of at most {LONGEST_PATH} bytes, and {LONGEST_NAME} a name"
    require(not long, name, value, allowed)


def host_and_port(name: str, value: str) -> tuple[str, int]:
    """Host and port; an IPv6 address is given in brackets.

    Raises ConfigError, naming the setting.
    """
    match = ADDRESS.fullmatch(value)
    host, port = (match[1] or match[2], int(match[3])) if match else ("", 0)
    allowed = f"HOST:PORT of process 0, with a port {PORTS} and an IPv6 address in brackets"
    require(port in PORTS, name, value, allowed)
    return host, port
