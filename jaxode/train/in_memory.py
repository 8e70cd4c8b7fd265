"""The records of a run without a directory: its history, in memory."""

from __future__ import annotations

from collections.abc import Callable

from jaxode.runs.history import History
from jaxode.runs.summary import CLOCK, summary
from jaxode.strict_json import JsonObject
from jaxode.tasks import Predictions, Task
from jaxode.train.state import TrainState


class InMemoryRecords:
    """In place of a `RunWriter`: writes nothing, restores nothing.

    Args:
        task: names the metrics.
        facts: values of the result beside metrics.
    """

    due = False
    """It is never time for a checkpoint."""

    def __init__(self, task: Task, facts: JsonObject) -> None:
        self.task, self.facts = task, facts
        self.history: History = []
        self.clock: dict[str, float] = dict.fromkeys(CLOCK, 0.0)

    def restore(self, state: TrainState) -> TrainState | None:
        """Nothing: there is no checkpoint."""

    def start(self) -> None:
        """Nothing to write."""

    def save(self, state: TrainState, step: int) -> None:
        """Nothing to write."""

    def record_failure(self, text: str) -> None:
        """Nothing to write."""

    def append(self, line: JsonObject) -> None:
        """Add an epoch to the history, and set the clock to zero.

        Args:
            line: the epoch's metrics.
        """
        self.history.append(line)
        self.clock = dict.fromkeys(self.clock, 0.0)

    def record(self, status: str, report: JsonObject | None = None) -> JsonObject:
        """The result so far.

        Args:
            status: running, complete, stopped_early or stopped.
            report: further values.
        """
        metrics = summary(self.task, self.history)
        return {"status": status, **self.facts, **metrics, **(report or {})}

    def store_predictions(self, predict: Callable[[], Predictions]) -> JsonObject:
        """Nothing: a run that is not stored has no report of its predictions."""
        return {}
