"""Where a run was trained: the facts of every start that trained a part of it.

They need not be those of the last start.

They travel in the checkpoints, beside what they are true of. A start that trains nothing, such as
one that only draws a missing picture again, leaves them as they are.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from jaxode.strict_json import need

FACTS = ("device", "cores", "devices", "processes", "versions", "commit")
"""What may differ between two starts of a run."""

DATE, EARLIER = "date", "earlier_origins"


def today() -> str:
    """The day in UTC."""
    return time.strftime("%Y-%m-%d", time.gmtime())


def check_origins(values: Any, where: str) -> None:
    """Raise ValueError unless the values are origins, as a result or a checkpoint lists them."""
    if not isinstance(values, list):
        raise ValueError(f"{where}: origins must be a list, got {str(values)[:60]}")
    for number, one in enumerate(values):
        if not isinstance(one, dict):
            raise ValueError(f"{where}: origins[{number}] must be an object, got {str(one)[:60]}")
        need(one, DATE, str, f"{where}: origins[{number}]")


class Origins:
    """The origins of a run.

    Each is the facts of starts that were alike, and the day on which they last trained.

    Args:
        facts: those of this start, among others.
    """

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self.present = {name: facts[name] for name in FACTS if name in facts}
        self.all: list[dict[str, Any]] = []
        """In the order of their days; the last is that of the run as it stands."""

    def add_present(self) -> None:
        """Add this start, which has trained, or put it last."""
        others = [one for one in self.all if {**one, **self.present} != one]
        self.all = [*others, {**self.present, DATE: today()}]

    def result(self) -> dict[str, Any]:
        """For result.json: where the run as it stands was trained last, and where else before."""
        *earlier, last = self.all or [{**self.present, DATE: today()}]
        return {**last, EARLIER: earlier}


def origins_of(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The origins in the content of a result.json; none where it is damaged."""
    names = (*FACTS, DATE)
    if not set(names) <= set(result):
        return []
    earlier, last = result.get(EARLIER, []), {name: result[name] for name in names}
    try:
        check_origins(earlier, EARLIER)
        check_origins([last], DATE)
    except ValueError:
        return []
    return [*earlier, last]
