"""Predictions of a whole split, a batch at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jaxode.runs.predictions import COSTS
from jaxode.tasks import Predictions
from jaxode.train.compiled_steps import CompiledSteps
from jaxode.train.state import Learned


class PredictionLoop:
    """One pass over the test split, a batch at a time."""

    def __init__(
        self, steps: CompiledSteps, learned: Learned, wait: Callable[[Callable[[], Any]], Any]
    ) -> None:
        """Compiles what it runs. Close it.

        Args:
          steps: of the run.
          learned: parameters and statistics.
          wait: runs XLA's part.
        """
        self.steps, self.learned = steps, learned
        self.predict = wait(steps.trace_predictions(learned).compile)
        self.split = steps.feed.evaluation("test")
        self.batches = self.split.count
        self.parts: list[Predictions] = []
        self.examples = 0

    def step(self) -> None:
        """Predict the next batch. Raises SolveError if a solve fails."""
        number = len(self.parts)
        (call,) = self.split.upto(number + 1)
        row = np.int32(call.offset + number)
        predictions, stats = jax.device_get(self.predict(self.learned, call.batches, row))
        stats.check()
        batch = self.split.host(number)
        real = np.flatnonzero(batch.weights > 0)
        index = np.arange(self.examples, self.examples + len(real))
        self.examples += len(real)
        part = {name: array[real] for name, array in predictions.items()}
        part = {"index": index, **self.steps.task.stored(part, batch.real)}
        if stats.nfe.ndim == 2:
            part |= {name: getattr(stats, name).T[real] for name in COSTS}
        self.parts.append(part)

    def close(self) -> None:
        """Free what the pass has opened."""
        self.split.close()

    def predictions(self, epochs: int) -> Predictions:
        """All examples in the order stored, after so many epochs of training."""
        joined = {
            name: np.concatenate([part[name] for part in self.parts]) for name in self.parts[0]
        }
        return {**joined, "epochs": np.asarray(epochs)}
