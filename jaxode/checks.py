"""Checks of settings; an error is one line with the name, the value and what is allowed.

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
"""Integers of more digits are described in messages: Python does not convert those of thousands."""

ADDRESS = re.compile(r"(?:\[([0-9A-Za-z:.%]+)\]|([0-9A-Za-z._-]+)):([0-9]{1,5})")


class ConfigError(ValueError):
    """A setting outside its allowed range, or settings that contradict each other.

    Example:
      >>> from jaxode import ConfigError, SolveConfig
      >>> try:
      ...     SolveConfig(rtol=-1.0)
      ... except ConfigError as error:
      ...     print(error)
      rtol must be a number from 1e-16 to 1000, got -1.0
    """


class Range(NamedTuple):
    """A closed interval of allowed numbers."""

    at_least: float
    at_most: float

    def __contains__(self, value: object) -> bool:
        """Whether a number is in the range; NaN is in none."""
        number: Any = value
        real = isinstance(value, numbers.Real)  # NumPy's scalars are registered there
        return real and bool(self.at_least <= number <= self.at_most)

    def __str__(self) -> str:
        """The range in words."""
        return f"from {self.short}"

    @property
    def short(self) -> str:
        """Its two ends."""
        return f"{plain(self.at_least)} to {plain(self.at_most)}"


def plain(number: float) -> str:
    """A number for a message: integers in full, others in six digits."""
    return str(number) if isinstance(number, int) else f"{number:g}"


PORTS = Range(1, 65535)
PROCESSES = Range(1, 4096)
"""Processes of a distributed run."""

JOIN_SECONDS = Range(0.1, 86_400)
"""Seconds that the processes of a run may wait for each other."""

SEEDS = Range(0, 2**32 - 1)
COUNTS = Range(1, 10**9)
"""Counts of images, rows and whatever has no tighter bound."""


def printable(text: str) -> str:
    """The text with control characters, surrogates and invisible characters escaped."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def one_line(error: object) -> str:
    """The message of an error, in one line that is safe to print."""
    return printable(" ".join(str(error).split()))


def shortened(text: str) -> str:
    """The text; of more than LONGEST_VALUE characters, its beginning and its end."""
    tail = LONGEST_VALUE // 4
    return (
        text
        if len(text) <= LONGEST_VALUE
        else f"{text[: LONGEST_VALUE - tail - 3]}...{text[-tail:]}"
    )


def shown(value: object) -> str:
    """A value for a message: its repr in printable characters, shortened if it is long."""
    if isinstance(value, int) and value.bit_length() > DIGITS_IN_WORDS * 3.33:
        return f"a whole number of about {int(value.bit_length() * 0.30103) + 1} digits"
    try:
        text = repr(shortened(value) if isinstance(value, str) else value)
    except Exception:  # an integer of thousands of digits in a list, or a class with a bad repr
        text = f"a {type(value).__name__}"
    return shortened(printable(text))


def any_of(names: Collection[str]) -> str:
    """Names for a message: "a, b or c"."""
    *first, last = names
    return f"{', '.join(first)} or {last}" if first else last


def require(condition: bool, name: str, value: object, allowed: str) -> None:
    """Raise ConfigError unless a condition is true.

    Args:
      condition: whether the value is allowed.
      name: of the setting.
      value: its value.
      allowed: what is allowed, to follow "must be".

    Raises:
      ConfigError: "NAME must be ALLOWED, got VALUE".
    """
    if not condition:
        raise ConfigError(f"{name} must be {allowed}, got {shown(value)}")


def require_in(name: str, value: object, within: Range, kind: type = int) -> None:
    """Raise ConfigError unless a value is None or a number in a range.

    Args:
      name: of the setting.
      value: its value; a boolean is not a number, and a float is never an integer.
      within: the allowed range.
      kind: int, or float for any real number.

    Raises:
      ConfigError: another type, or a number outside the range.
    """
    if value is not None:
        family = numbers.Integral if kind is int else numbers.Real
        good = isinstance(value, family) and not isinstance(value, bool) and value in within
        require(good, name, value, allowed_number(kind, within))


def allowed_number(kind: type, within: Range) -> str:
    """What a number may be, for a message: int or float, in a range."""
    return f"a {'whole ' if kind is int else ''}number {within}"


def require_count(name: str, value: int | None, at_least: int = 1) -> None:
    """Raise ConfigError unless value is None or a whole number from `at_least` to 10⁹."""
    require_in(name, value, COUNTS._replace(at_least=at_least))


def require_choice(
    name: str, value: object, choices: Collection[str], meant: Mapping[str, str] | None = None
) -> None:
    """Raise ConfigError unless a value is one of some names.

    Args:
      name: of the setting.
      value: its value.
      choices: the allowed names.
      meant: names used elsewhere, each with one of the choices, which the message then suggests.

    Raises:
      ConfigError: any other value.
    """
    if not (isinstance(value, str) and value in choices):
        close = closest(value, choices, meant) if isinstance(value, str) else None
        hint = f": did you mean {close}?" if close else ""
        raise ConfigError(f"{name} must be one of {', '.join(choices)}, got {shown(value)}{hint}")


def closest(word: str, known: Iterable[str], meant: Mapping[str, str] | None = None) -> str | None:
    """The known word that is the most likely correction of an unknown one.

    Args:
      word: the unknown word.
      known: the known words.
      meant: synonyms, each with a known word, or a known word, a space and its value.

    Returns:
      The synonym's known word, else the known word of the most similar spelling; None if there is
      no similar one.
    """
    known = list(known)
    meant = {key: target for key, target in (meant or {}).items() if target.split()[0] in known}
    # Shortened, because the comparison's time grows with the square of the length.
    word = word[:LONGEST_VALUE].lower()
    if word in meant:
        return meant[word]
    spelled = {name.lower(): name for name in known} | {key: key for key in meant}
    matches = difflib.get_close_matches(word, spelled, n=1, cutoff=0.6)
    return meant.get(matches[0], spelled[matches[0]]) if matches else None


def require_path(name: str, value: str) -> None:
    """Raise ConfigError unless a value can be a path.

    Args:
      name: of the setting.
      value: its value.

    Raises:
      ConfigError: it is empty, contains NUL, cannot be encoded, or is longer than Linux allows.
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
    """Host and port of an address.

    Args:
      name: of the setting.
      value: "HOST:PORT", an IPv6 address in brackets.

    Returns:
      The host without brackets, and the port.

    Raises:
      ConfigError: any other text.
    """
    match = ADDRESS.fullmatch(value)
    host, port = (match[1] or match[2], int(match[3])) if match else ("", 0)
    allowed = f"HOST:PORT of process 0, with a port {PORTS} and an IPv6 address in brackets"
    require(port in PORTS, name, value, allowed)
    return host, port
