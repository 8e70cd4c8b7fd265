"""The losses of the first training steps, for comparison with another program."""

from __future__ import annotations

import sys

from tqdm import tqdm

from jaxode.callbacks import Callback, TrainingStep


class StepLosses(Callback):
    """Prints losses on stdout, with all their digits: they are a result, not progress.

    Args:
        count: of how many steps, from the first of the run.
    """

    def __init__(self, count: int) -> None:
        self.count = count

    def on_step(self, step: TrainingStep) -> None:
        """Print the step's loss, above the bar if there is one."""
        if step.step <= self.count:
            tqdm.write(f"step {step.step}: loss {step.loss!r}", file=sys.stdout)
            sys.stdout.flush()
