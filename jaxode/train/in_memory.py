"""What a run keeps where it has no directory: its history, in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jaxode.runs.summary import CLOCK, summary
from jaxode.tasks import Predictions, Task
from jaxode.train.state import TrainState


class InMemoryRecords:
    """In place of a `RunWriter`: writes nothing, restores nothing.

    Args:
        task: names the metrics.
        facts: what the result says beside metrics.
    """

    due = False
    """It is never time for a checkpoint."""

    def __init__(self, task: Task, facts: dict[str, Any]) -> None:
        self.task, self.facts = task, facts
        self.history: list[dict[str, Any]] = []
        self.clock: dict[str, float] = dict.fromkeys(CLOCK, 0.0)

    def restore(self, state: TrainState) -> TrainState | None:
        """Nothing: there is no checkpoint."""

    def start(self) -> None:
        """Nothing to write."""

    def save(self, state: TrainState) -> None:
        """Nothing to write."""

    def close(self) -> None:
        """Nothing to close."""

    def record_failure(self, text: str) -> None:
        """Nothing to write."""

    def append(self, line: dict[str, Any]) -> None:
        """Add the metrics of an epoch, and set the clock to zero."""
        self.history.append(line)
        self.clock = dict.fromkeys(self.clock, 0.0)

    def record(self, status: str, report: dict[str, Any] | None = None) -> dict[str, Any]:
        """The result so far."""
        metrics = summary(self.task, self.history)
        return {"status": status, **self.facts, **metrics, **(report or {})}

    def store_predictions(self, predict: Callable[[], Predictions]) -> dict[str, Any]:
        """Nothing: a run that is not stored has no report of its predictions."""
        return {}
