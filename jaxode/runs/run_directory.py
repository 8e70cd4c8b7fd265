"""What a run keeps: its history, its checkpoints, its result files.

Of several processes, process 0 alone has them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import jax
import jax.numpy as jnp

from jaxode.config import RunConfig
from jaxode.data import Dataset
from jaxode.data.streaming import in_memory
from jaxode.distributed.process_group import ProcessGroup
from jaxode.errors import ResumeError
from jaxode.runs import history, leftovers, predictions
from jaxode.runs.checkpoint import Checkpoint, Checkpoints
from jaxode.runs.checkpoint_folder import CHECKPOINTS, META, checkpoint_name
from jaxode.runs.directory_lock import CONFIG
from jaxode.runs.files import write_whole
from jaxode.runs.migration import migrated, stored
from jaxode.runs.origins import Origins, check_origins
from jaxode.runs.progress import Progress
from jaxode.runs.resume import RESUMABLE_SETTINGS, differences
from jaxode.runs.run_writer import RunWriter
from jaxode.runs.summary import best_epoch
from jaxode.strict_json import need
from jaxode.tasks import Predictions, Task

SAVE_EVERY_SECONDS = 600.0
"""Longest time between checkpoints; an epoch of the protocol takes an hour on a slow machine."""

LOCK_SECONDS = 5.0
"""How long the news of a lost process waits for files that are being written."""


class State(Protocol):
    """A pytree that tells how many training steps led to it."""

    @property
    def step(self) -> Any:
        """A whole number, as an array."""
        ...


class RunDirectory:
    """The books of one run.

    Args:
        out: an existing directory.
        config: the settings.
        data: the images, of which a run in `out` must be too.
        facts: what goes into the result beside settings and figures.
        steps_per_epoch: how many steps an epoch takes.
        cluster: the processes of the run.
        progress: where a person is told.
        tensorboard: write event files too.
        task: names the metrics, and tells the best epoch.
    """

    def __init__(
        self,
        out: Path,
        config: RunConfig,
        data: Dataset,
        facts: dict[str, Any],
        steps_per_epoch: int,
        cluster: ProcessGroup,
        progress: Progress,
        tensorboard: bool,
        task: Task,
    ) -> None:
        self.task = task
        self.out, self.config, self.data, self.cluster, self.progress = (
            out,
            config,
            data,
            cluster,
            progress,
        )
        self.steps_per_epoch, self.fingerprint = steps_per_epoch, data.fingerprint
        self.checkpoints = Checkpoints(out / CHECKPOINTS)
        facts = {**facts, "data_fingerprint": self.fingerprint, "processes": cluster.count}
        self.origins = Origins(facts)
        self.recorder = RunWriter(
            out, config, facts, self.origins, task, tensorboard and cluster.first
        )
        self.history: list[dict[str, Any]] = []
        self.checkpointed = 0
        """Epochs of the history that are in a checkpoint; result files never tell of more."""
        self.clock = {"train_seconds": 0.0, "eval_seconds": 0.0, "compile_seconds": 0.0}
        self.saved_at = time.monotonic()
        self.opened = False
        """Whether the history is that of the run; before, the files of an earlier start are not to
        be touched.
        """
        self.writing = threading.Lock()
        cluster.at_loss.append(self.record_loss)

    @property
    def due(self) -> bool:
        """Whether it is time for a checkpoint."""
        return time.monotonic() - self.saved_at > SAVE_EVERY_SECONDS

    def start(self) -> None:
        """Write the settings, which make the directory a run."""
        self.cluster.broadcast_from_main(self.recorder.start)
        self.opened = True

    def record(self, status: str, more: dict[str, Any] | None = None) -> dict[str, Any]:
        """Write the files of the run; returns the result."""

        def write() -> dict[str, Any]:
            with self.writing:
                return self.recorder.write(self.history[: self.checkpointed], status, more=more)

        return self.cluster.broadcast_from_main(write)

    def record_failure(self, text: str) -> None:
        """Write why the run has failed, unless it never began.

        It does so alone, for the other processes may be gone.
        """
        if not (self.opened and self.cluster.first):
            return
        try:
            with self.writing:
                self.recorder.write(self.history[: self.checkpointed], "failed", text)
        except OSError as error:  # the failure itself is the news, and a full disk may be its cause
            self.progress.warn(f"result.json could not be written: {error.strerror}")

    def record_loss(self, number: int, text: str) -> None:
        """Turn a result that says "running" into that of a failed run: process `number` is lost.

        Called before this process ends, in the thread that noticed it. If process 0 is lost, each
        of the others writes, for none knows which of them are left; all write the same.
        """
        if self.opened and self.cluster.first:
            self.writing.acquire(
                timeout=LOCK_SECONDS
            )  # for good: nothing is to be written after this
        if self.opened and (self.cluster.first or number == 0):
            self.recorder.fail_running(text)

    def enter(self, line: dict[str, Any]) -> None:
        """Add the metrics of an epoch, and set the clock to zero."""
        self.history.append(line)
        self.clock = dict.fromkeys(self.clock, 0.0)

    def save(self, state: State) -> None:
        """Write a checkpoint. Raises CheckpointError."""
        best = best_epoch(self.task, self.history)
        name = checkpoint_name(len(self.history), int(state.step))
        if int(state.step) and name not in self.checkpoints.trusted:  # else nothing is new
            self.origins.trained()
        meta = {
            "config": stored(self.config.to_json()),
            "fingerprint": self.fingerprint,
            "history": self.history,
            "clock": self.clock,
            "origins": self.origins.known,
        }
        best_name = (
            checkpoint_name(best["epoch"], best["epoch"] * self.steps_per_epoch) if best else None
        )
        self.cluster.broadcast_from_main(
            lambda: self.checkpoints.save(name, state, meta, best_name)
        )
        self.checkpointed = len(self.history)
        self.saved_at = time.monotonic()

    def restored(self, state: State) -> Any:
        """The state of the newest whole checkpoint, as host arrays; None without one.

        Its history becomes this run's.

        Raises ResumeError if it is of other settings or other data, or if there are results but no
        checkpoint, CheckpointError if none can be read. The files of the run are then as they were;
        else what killed processes have left among them is gone.
        """
        found: Checkpoint | None = None

        def read() -> dict[str, Any] | None:
            nonlocal found
            found = self.checkpoints.load(state, self.progress.warn)
            if found is None:
                self._begin_again()
                leftovers.sweep(self.out)
                return None
            self._check(found, state)
            self.origins.restore(found.meta, self.recorder.left())
            leftovers.sweep(self.out)
            self.checkpoints.keep_history(found.meta["history"])
            self.progress.say(f"going on from {found.name}")
            return {"history": found.meta["history"], "clock": found.meta["clock"]}

        meta = self.cluster.broadcast_from_main(read)
        if meta is None:
            return None
        self.history, self.clock = (
            meta["history"],
            {name: meta["clock"][name] for name in self.clock},
        )
        self.checkpointed = len(self.history)
        return self.cluster.arrays(found.state if found else state)

    def _begin_again(self) -> None:
        """Say so if a run begins again. Raises ResumeError if results would be written over."""
        epochs = self.recorder.epochs_written()
        if epochs and not self.recorder.only_first_checkpoint_lacking(epochs):
            raise ResumeError(
                f"{self.out} holds results of {epochs} epochs but no checkpoint to go on from: "
                "train again with another --out, or delete the directory first"
            )
        if epochs:
            self.progress.warn(
                "the first checkpoint could not be written: starting from the beginning"
            )
        elif (self.out / CONFIG).exists():
            self.progress.say("there is no checkpoint yet: starting from the beginning")

    def _check(self, found: Checkpoint, state: State) -> None:
        """Raise ResumeError unless a checkpoint is one of this run."""
        try:
            self._check_values(found)
        except ValueError as error:
            raise ResumeError(
                f"{self.checkpoints.directory / found.name} is damaged: {error}"
            ) from error
        has = RunConfig.from_json(migrated(found.meta["config"]), self.config.model.model)
        asked = {
            name: value
            for name, value in self.config.flat().items()
            if name not in RESUMABLE_SETTINGS
        }
        wrong = differences(has, asked)
        if wrong:
            raise ResumeError(
                f"checkpoint {found.name} is of other settings than config.json: {', '.join(wrong)}"
            )
        if found.meta["fingerprint"] != self.fingerprint:
            raise ResumeError("the images are not those of the run: their fingerprints differ")
        if len(found.meta["history"]) > self.config.epochs:
            raise ResumeError(
                f"the run already has {len(found.meta['history'])} epochs, asked"
                f" {self.config.epochs}"
            )
        if jax.tree.map(jnp.shape, found.state) != jax.tree.map(jnp.shape, state):
            raise ResumeError(
                f"checkpoint {found.name} is of another model than config.json: its shapes differ"
            )

    def _check_values(self, found: Checkpoint) -> None:
        """Raise ValueError naming what the meta data of a checkpoint lack."""
        values = migrated(need(found.meta, "config", dict, META))
        RunConfig.from_json(values, self.config.model.model)
        need(found.meta, "fingerprint", str, META)
        clock = need(found.meta, "clock", dict, META)
        for name in self.clock:
            need(clock, name, float, f"{META}: clock")
        check_origins(found.meta.get("origins", []), META)
        history.check(found.meta["history"], "history", self.task.monitor)

    def close(self) -> None:
        """Close the event files."""
        self.recorder.close()

    def predictions(self, look: Callable[[], Predictions]) -> dict[str, Any]:
        """Write the predictions of the test split and their plots, unless they are there.

        Args:
            look: predicts; all processes take part in it.

        Returns:
            what a result says of them.
        """
        epochs, task, examples = len(self.history), self.task, in_memory(self.data.splits["test"])
        there = self.cluster.broadcast_from_main(
            lambda: (
                predictions.of(predictions.load(self.out, epochs, task), task, self.data)
                is not None
            )
        )
        seen = None if there else look()

        def write() -> dict[str, Any]:
            if seen is not None:
                predictions.save(self.out, seen)
            found = predictions.load(self.out, epochs, task) if seen is None else seen
            assert found is not None
            spec, title = self.data.spec, self.recorder.title()
            for name, picture in task.plots(found, examples, spec, title).items():
                write_whole(self.out / name, picture)
            return task.report(found, spec)

        return self.cluster.broadcast_from_main(write)
