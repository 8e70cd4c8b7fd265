"""A run that was given more epochs than it was planned with: how many those were, and when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from jaxode.checks import require


@dataclass(frozen=True)
class Extension:
    """The planned number of epochs was raised.

    A run whose learning rate depends on the number of epochs is then no run of either number: its
    first epochs had the rates of the one, the others those of the other.

    Args:
      epochs: planned before.
      after: epochs that were done by then.

    Example:
      >>> from jaxode.config import Extension, RunConfig
      >>> RunConfig(epochs=40, extended_from=(Extension(30, after=30),)).extended_from[0].epochs
      30
    """

    epochs: int
    after: int


def checked_extensions(values: object, epochs: int) -> tuple[Extension, ...]:
    """The extensions of a run, in order.

    Args:
      values: a sequence of `Extension` or of its JSON values.
      epochs: of the run now.

    Raises:
      ConfigError: anything else, or numbers that do not rise.
    """
    allowed = "a list of objects with epochs and after, each of more epochs than the one before"
    name = "extended_from"
    require(isinstance(values, Sequence) and not isinstance(values, str), name, values, allowed)
    found = []
    for value in values:  # type: ignore[attr-defined]
        named = isinstance(value, Mapping) and set(value) == {"epochs", "after"}
        each = Extension(**value) if named else value
        if not isinstance(each, Extension):
            require(False, name, values, allowed)
            continue
        numbers = type(each.epochs) is int and type(each.after) is int
        require(numbers and 0 < each.after <= each.epochs, name, values, allowed)
        found.append(each)
    planned = pairwise([*(each.epochs for each in found), epochs])
    rising = all(one < other for one, other in planned)
    require(rising, name, values, allowed)
    return tuple(found)
