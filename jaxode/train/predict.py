"""Predictions of a whole split, a batch at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import jax
import numpy as np

from jaxode.runs.predictions import COSTS
from jaxode.tasks import Predictions
from jaxode.train.compiled_steps import CompiledSteps
from jaxode.train.state import Learned


class PredictionLoop:
    """One pass over the test split, a batch at a time."""

    def __init__(
        self,
        steps: CompiledSteps,
        learned: Learned,
        examples: Mapping[str, np.ndarray],
        wait: Callable[[Callable[[], jax.stages.Compiled]], jax.stages.Compiled],
    ) -> None:
        """Compiles what it runs.

        Args:
          steps: of the run.
          learned: parameters and statistics.
          examples: the test split as it is stored.
          wait: runs XLA's part.
        """
        self.steps, self.learned, self.examples = steps, learned, examples
        self.predict = wait(steps.trace_predictions(learned).compile)
        self.order = jax.device_get(steps.order)
        self.batches = steps.test_range.batches
        self.parts: list[Predictions] = []

    def step(self) -> None:
        """Predict the next batch. Raises SolveError if a solve fails."""
        row = self.steps.test_range.start + len(self.parts)
        outputs = self.predict(self.learned, self.steps.dataset, self.steps.order, np.int32(row))
        predictions, stats = jax.device_get(outputs)
        stats.check()
        real = self.order.weights[row] > 0
        index = self.order.indices[row][real] - self.steps.train_count
        examples = {name: array[index] for name, array in self.examples.items()}
        part = {name: array[real] for name, array in predictions.items()}
        part = {"index": index, **self.steps.task.stored(part, examples)}
        if stats.nfe.ndim == 2:
            part |= {name: getattr(stats, name).T[real] for name in COSTS}
        self.parts.append(part)

    def predictions(self, epochs: int) -> Predictions:
        """The predictions of all examples, in the order stored.

        Args:
            epochs: of training, which are stored beside.
        """
        joined = {
            name: np.concatenate([part[name] for part in self.parts]) for name in self.parts[0]
        }
        return {**joined, "epochs": np.asarray(epochs)}
