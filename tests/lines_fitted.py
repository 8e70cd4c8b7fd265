"""A small task of arrays, which compiles at once, and a callback that keeps what it is told."""

from __future__ import annotations

import os
import signal

import numpy as np
from flax import nnx

from jaxode import ArrayDataset, OptimConfig, RunConfig
from jaxode.tasks import Regression
from jaxode.train import fit

X = np.linspace(-1, 1, 20, dtype=np.float32)[:, None]
LINE = ArrayDataset("a line", {"input": X, "target": 2 * X}, {"input": X, "target": 2 * X})
"""Five steps of four examples an epoch."""

CONFIG = RunConfig(
    epochs=3, batch_size=4, optim=OptimConfig(lr=0.05, momentum=0.0, schedule="step")
)


class Told:
    """Keeps what it is told; no subclass of anything."""

    def __init__(self):
        self.steps, self.epochs, self.ends = [], [], []

    def on_start(self, run):
        self.run = run

    def on_step(self, step):
        self.steps.append(step)

    def on_epoch(self, metrics):
        self.epochs.append(metrics)

    def on_end(self, result):
        self.ends.append(result)


def fit_a_line(*callbacks, config=CONFIG, **options):
    model = nnx.Linear(1, 1, rngs=nnx.Rngs(0))
    return fit(model, Regression(), LINE, config, callbacks=callbacks, **options)


class StopAfter:
    """Sends the process a signal at a step, as a user does."""

    def __init__(self, step):
        self.step = step

    def on_step(self, step):
        if step.step == self.step:
            os.kill(os.getpid(), signal.SIGTERM)
