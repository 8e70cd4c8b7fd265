"""The writer of a run: what the trainer keeps of it, and when that is written.

Of several processes, process 0 alone reads and writes; the others receive what it has read.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from jaxtyping import PyTree

from jaxode.config import RunConfig
from jaxode.data import Dataset, DatasetSpec
from jaxode.data.facts import image_facts
from jaxode.distributed.process_group import ProcessGroup
from jaxode.runs import predictions
from jaxode.runs.checkpoint_folder import checkpoint_name
from jaxode.runs.files import write_json
from jaxode.runs.history import History
from jaxode.runs.identity import identity_of
from jaxode.runs.origins import Origins, origins_of
from jaxode.runs.progress import Progress
from jaxode.runs.record_files import RecordFiles
from jaxode.runs.restore import restore_checkpoint
from jaxode.runs.run_directory import DATASET, RunDirectory
from jaxode.runs.summary import CLOCK, best_epoch
from jaxode.strict_json import JsonObject
from jaxode.tasks import Predictions, Task

SAVE_EVERY_SECONDS = 600.0
"""Longest time between checkpoints; an epoch of the protocol takes an hour on a slow machine."""

LOCK_SECONDS = 5.0
"""How long `record_lost_process` waits for files that are being written."""


class RunWriter:
    """Writes a run into its directory, and restores it from there.

    Args:
        directory: exists, and is locked by this process.
        config: the settings.
        data: the data set, of which a run in the directory must be too.
        facts: values of the result beside settings and metrics.
        steps_per_epoch: training steps of an epoch.
        cluster: the processes of the run.
        progress: shows what is restored.
        task: names the metrics and picks the best epoch.
    """

    def __init__(
        self,
        directory: RunDirectory,
        config: RunConfig,
        data: Dataset,
        facts: JsonObject,
        steps_per_epoch: int,
        cluster: ProcessGroup,
        progress: Progress,
        task: Task,
    ) -> None:
        self.directory, self.config, self.data, self.task = directory, config, data, task
        self.steps_per_epoch, self.cluster, self.progress = steps_per_epoch, cluster, progress
        self.checkpoints, self.fingerprint = directory.checkpoints, data.fingerprint
        facts = {**facts, "data_fingerprint": self.fingerprint, "processes": cluster.count}
        self.origins = Origins(facts)
        self.files = RecordFiles(directory.path, config, facts, self.origins, task)
        self.history: History = []
        self.checkpointed = 0
        """Epochs of the history that are in a checkpoint; result files have no more."""
        self.clock = dict.fromkeys(CLOCK, 0.0)
        self.saved_at = time.monotonic()
        self.started = False
        """Whether the history is that of the run; before, the files of an earlier start must stay
        as they are.
        """
        self.writing = threading.Lock()
        cluster.on_process_lost.append(self.record_lost_process)

    @property
    def due(self) -> bool:
        """Whether it is time for a checkpoint."""
        return time.monotonic() - self.saved_at > SAVE_EVERY_SECONDS

    def restore(self, state: PyTree) -> PyTree | None:
        """Read the checkpoint of `restore_checkpoint`, whose history becomes this run's.

        Args:
            state: of a run that has not begun.

        Returns:
            The state of the checkpoint, as arrays on the host; None without a checkpoint.

        Raises:
            ResumeError, CheckpointError: as `restore_checkpoint` does.
        """
        restored, monitor = state, self.task.monitor

        def read() -> JsonObject | None:
            nonlocal restored
            checkpoint = restore_checkpoint(
                self.directory, self.config, self.fingerprint, state, monitor, self.progress
            )
            if checkpoint is None:
                return None
            meta, restored = checkpoint.meta, checkpoint.state
            # Checkpoints of earlier versions have none.
            known = meta["origins"] if "origins" in meta else origins_of(self.directory.result)
            self.origins.all = known
            self.checkpoints.keep_history(meta["history"])
            self.progress.say(f"going on from {checkpoint.name}")
            return {"history": meta["history"], "clock": meta["clock"]}

        content = self.cluster.broadcast_from_main(read)
        if content is None:
            return None
        self.history = content["history"]
        self.clock = {name: content["clock"][name] for name in CLOCK}
        self.checkpointed = len(self.history)
        return self.cluster.broadcast_arrays(restored)

    def start(self) -> None:
        """Write the settings, which make the directory a run. Raises ConfigError, OSError."""

        def write() -> None:
            if isinstance(self.data.spec, DatasetSpec):
                write_json(self.directory.path / DATASET, image_facts(self.data.spec))
            self.files.write_config()

        self.cluster.broadcast_from_main(write)
        self.started = True

    def append(self, line: JsonObject) -> None:
        """Add an epoch to the history, and set the clock to zero.

        Args:
            line: the epoch's metrics.
        """
        self.history.append(line)
        self.clock = dict.fromkeys(CLOCK, 0.0)

    def save(self, state: PyTree, step: int) -> None:
        """Write a checkpoint.

        Args:
            state: a pytree of arrays.
            step: finished training steps, those of a part of an epoch included.

        Raises:
            CheckpointError: it could not be written.
        """
        best = best_epoch(self.task, self.history)
        name = checkpoint_name(len(self.history), step)
        if step and name not in self.checkpoints.trusted:  # else nothing is new
            self.origins.add_present()
        rest = {"history": self.history, "clock": self.clock, "origins": self.origins.all}
        meta = {**identity_of(self.config, self.fingerprint), **rest}
        epoch = best.get("epoch", 0)
        best_name = checkpoint_name(epoch, epoch * self.steps_per_epoch) if epoch else None
        self.cluster.broadcast_from_main(
            lambda: self.checkpoints.save(name, state, meta, best_name)
        )
        self.checkpointed = len(self.history)
        self.saved_at = time.monotonic()

    def record(self, status: str, report: JsonObject | None = None) -> JsonObject:
        """Write the files of the run, of no more epochs than are in a checkpoint.

        Args:
            status: running, complete, stopped_early (by a callback) or stopped (by a signal).
            report: further values, those that come from the predictions of a complete run.

        Returns:
            the result.

        Raises:
            OSError: a file could not be written.
        """

        def write() -> JsonObject:
            with self.writing:
                return self.files.write(self.history[: self.checkpointed], status, report=report)

        return self.cluster.broadcast_from_main(write)

    def record_failure(self, text: str) -> None:
        """Write why the run has failed, unless it never started.

        Process 0 does so without the others, which may have ended.

        Args:
            text: the error.
        """
        if not (self.started and self.cluster.first):
            return
        try:
            with self.writing:
                self.files.write(self.history[: self.checkpointed], "failed", text)
        except OSError as error:  # a full disk may be the cause of the failure
            self.progress.warn(f"result.json could not be written: {error.strerror}")

    def record_lost_process(self, number: int, text: str) -> None:
        """Turn a result whose status is "running" into that of a failed run.

        Called before this process ends, in the thread that noticed the loss. If process 0 is lost,
        each of the others writes, for none knows which of them are left; all write the same.

        Args:
            number: of the lost process.
            text: a sentence about the loss.

        Raises:
            OSError: the file could not be written.
        """
        if self.started and self.cluster.first:
            self.writing.acquire(timeout=LOCK_SECONDS)  # never released: nothing may follow
        if self.started and (self.cluster.first or number == 0):
            self.files.fail_running(text)

    def store_predictions(self, predict: Callable[[], Predictions]) -> JsonObject:
        """Write the predictions of the test split, unless they are stored already, and their plots.

        Args:
            predict: computes them; all processes take part.

        Returns:
            what a result reports of them.

        Raises:
            OSError: a file could not be written.
        """
        path, epochs, task = self.directory.path, len(self.history), self.task
        stored: Predictions | None = None

        def read() -> bool:
            nonlocal stored
            stored = predictions.matching(predictions.load(path, epochs, task), task, self.data)
            return stored is not None

        new = None if self.cluster.broadcast_from_main(read) else predict()

        def write() -> JsonObject:
            if new is not None:
                predictions.save(path, new)
            current = stored if new is None else new
            assert current is not None
            return predictions.write_report(path, current, task, self.data, self.files.title())

        return self.cluster.broadcast_from_main(write)
