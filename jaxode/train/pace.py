"""How many steps to run in one compiled call.

Long enough to keep Python out of the way, short enough to respond.
"""

from __future__ import annotations

TARGET_SECONDS = 2.5
FIRST_ROWS = 2


class Pace:
    """Chooses each chunk's length from the speed of the chunk before.

    The length never changes a result.
    """

    def __init__(self, target: float = TARGET_SECONDS) -> None:
        self.target = target
        self.seconds_a_row: float | None = None

    def rows(self, remaining: int) -> int:
        """How many rows to run next: at least 1, at most those remaining.

        Args:
            remaining: at least 1.
        """
        if self.seconds_a_row is None:
            return min(FIRST_ROWS, remaining)
        return max(1, min(remaining, int(self.target / max(self.seconds_a_row, 1e-9))))

    def measured(self, rows: int, seconds: float) -> None:
        """Adapt to the time of a chunk.

        Args:
            rows: that were run.
            seconds: that they took.
        """
        self.seconds_a_row = seconds / rows
