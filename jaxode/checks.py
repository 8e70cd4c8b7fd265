"""Checks of settings, each answered in one line: what is wrong, its value, what is allowed. Standard library only."""

from __future__ import annotations

import math
from typing import Any


class ConfigError(ValueError):
    """A setting that is out of its allowed range, or settings that contradict each other."""


def require(condition: bool, name: str, value: object, allowed: str) -> None:
    """Raise ConfigError naming the setting, its value and what is allowed, unless the condition holds."""
    if not condition:
        raise ConfigError(f"{name} must be {allowed}, got {value!r}")


def require_positive(name: str, value: float | None, *, zero: bool = False) -> None:
    """Raise ConfigError unless value is None or a finite positive number (or zero, where that is allowed)."""
    if value is None:
        return
    good = math.isfinite(value) and (value > 0 or (zero and value == 0))
    require(good, name, value, "zero or a positive number" if zero else "a positive number")


def require_count(name: str, value: int | None, at_least: int = 1) -> None:
    """Raise ConfigError unless value is None or a whole number of at least `at_least`."""
    if value is not None:
        good = isinstance(value, int) and not isinstance(value, bool) and value >= at_least
        require(good, name, value, f"a whole number of at least {at_least}")


def require_choice(name: str, value: str, literal: Any) -> None:
    """Raise ConfigError unless value is one of the strings of a Literal type."""
    require(value in literal.__args__, name, value, "one of " + ", ".join(literal.__args__))
