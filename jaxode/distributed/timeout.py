"""A time limit that several steps share."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Timeout:
    """So many seconds from its making.

    Args:
        seconds: what was asked for, for messages.
        end: the moment, of time.monotonic.
    """

    seconds: float
    end: float

    @classmethod
    def after(cls, seconds: float) -> Timeout:
        """A time limit that begins now.

        Args:
            seconds: how long.
        """
        return cls(seconds, time.monotonic() + seconds)

    @property
    def left(self) -> float:
        """Seconds left, 0 after the end."""
        return max(0.0, self.end - time.monotonic())

    def at_most(self, seconds: float) -> Timeout:
        """The earlier of this end and one after so many seconds.

        Args:
            seconds: from now.
        """
        return Timeout(self.seconds, min(self.end, time.monotonic() + seconds))

    def __str__(self) -> str:
        """What was asked for."""
        return f"{self.seconds:g} s"
