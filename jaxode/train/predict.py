"""Predictions of a whole split, a batch at a time."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

import jax
import numpy as np

from jaxode.data import DataError
from jaxode.distributed.process_group import ProcessGroup
from jaxode.errors import RunFailed
from jaxode.ode import SolveError
from jaxode.runs.predictions import COSTS
from jaxode.runs.progress import Progress
from jaxode.tasks import Predictions
from jaxode.train.compiled_steps import CompiledSteps
from jaxode.train.interrupts import Interrupts
from jaxode.train.state import Learned


class PredictionLoop:
    """One pass over the test split, a batch at a time."""

    def __init__(
        self,
        steps: CompiledSteps,
        learned: Learned,
        wait: Callable[[Callable[[], jax.stages.Compiled]], jax.stages.Compiled],
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
        """The predictions of all examples, in the order stored.

        Args:
            epochs: of training, which are stored beside.
        """
        joined = {
            name: np.concatenate([part[name] for part in self.parts]) for name in self.parts[0]
        }
        return {**joined, "epochs": np.asarray(epochs)}


def predict_split(
    steps: CompiledSteps,
    learned: Learned,
    epochs: int,
    progress: Progress,
    interrupts: Interrupts,
    cluster: ProcessGroup,
    pause: Callable[[], object],
) -> Predictions:
    """The predictions for the test split.

    Args:
        steps: of the run.
        learned: parameters and statistics.
        epochs: of training, which are stored beside.
        progress: shows a bar.
        interrupts: the signals that end the run.
        cluster: the processes of the run.
        pause: called before each batch; saves and raises Stopped if a signal came.

    Raises:
        RunFailed: a solve failed.
        Stopped: by a signal.
    """
    with interrupts.compiling(alone=cluster.count == 1):
        images = PredictionLoop(steps, learned, interrupts.wait)
    with closing(images):
        progress.begin("each test image", images.batches)
        for number in range(images.batches):
            pause()
            try:
                interrupts.wait(images.step)
            except (SolveError, DataError) as error:
                where = f"batch {number + 1} of {images.batches}"
                raise RunFailed(f"record of the test images, {where}: {error}") from None
            progress.advance(1)
        return images.predictions(epochs)
