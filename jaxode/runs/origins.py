"""Where a run was trained: the facts of every start that trained a part of it.

They need not be those of the last start.

They travel in the checkpoints, beside what they are true of. A start that trains nothing, such as
one that only draws a missing picture again, leaves them as they are.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from jaxode.strict_json import JsonObject, need

FACTS = ("device", "cores", "devices", "processes", "versions", "commit")
"""What may differ between two starts of a run."""

DATE, EARLIER = "date", "earlier_origins"


def today() -> str:
    """The day in UTC."""
    return time.strftime("%Y-%m-%d", time.gmtime())


def checked_origins(values: object, where: str) -> list[JsonObject]:
    """Values that are origins, as a result or a checkpoint lists them.

    Args:
        values: any value.
        where: for the message.

    Raises:
        ValueError: they are not; names the first that is none.
    """
    if not isinstance(values, list):
        raise ValueError(f"{where}: origins must be a list, got {str(values)[:60]}")
    for number, value in enumerate(values):
        place = f"{where}: origins[{number}]"
        if not isinstance(value, dict):
            raise ValueError(f"{place} must be an object, got {str(value)[:60]}")
        need(value, DATE, str, place)
    return values


class Origins:
    """The origins of a run.

    Each is the facts of starts that were alike, and the day on which they last trained.

    Args:
        facts: those of this start, among others.
    """

    def __init__(self, facts: Mapping[str, object]) -> None:
        self.present = {name: facts[name] for name in FACTS if name in facts}
        self.all: list[JsonObject] = []
        """In the order of their days; the last is that of the run as it stands."""

    def add_present(self) -> None:
        """Add this start, which has trained, or put it last."""
        others = [one for one in self.all if {**one, **self.present} != one]
        self.all = [*others, {**self.present, DATE: today()}]

    def result(self) -> JsonObject:
        """For result.json: where the run as it stands was trained last, and where else before."""
        *earlier, last = self.all or [{**self.present, DATE: today()}]
        return {**last, EARLIER: earlier}


def origins_of(result: Mapping[str, object]) -> list[JsonObject]:
    """The origins in a result; none if it is damaged.

    Args:
        result: content of a result.json.
    """
    names = (*FACTS, DATE)
    if not set(names) <= set(result):
        return []
    last = {name: result[name] for name in names}
    try:
        earlier = checked_origins(result.get(EARLIER, []), EARLIER)
        return [*earlier, *checked_origins([last], DATE)]
    except ValueError:
        return []
