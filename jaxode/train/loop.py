"""A run from its first line to its last: restored, compiled, trained, recorded."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from jaxode.callbacks.base import RunInfo
from jaxode.callbacks.calls import CallbackError, Callbacks
from jaxode.config import RunConfig
from jaxode.data import Dataset
from jaxode.distributed.process_group import ProcessGroup
from jaxode.errors import CheckpointError, RunFailed, Stopped
from jaxode.runs.extension import extension_text
from jaxode.runs.progress import Progress
from jaxode.strict_json import JsonObject
from jaxode.tasks import Predictions, Task
from jaxode.train.compiled_steps import Builder, CompiledSteps
from jaxode.train.epochs import EpochLoop
from jaxode.train.interrupts import Interrupts
from jaxode.train.pace import Pace
from jaxode.train.predict import predict_split
from jaxode.train.records import make_records
from jaxode.train.state import TrainState


class Trainer:
    """One run in progress. Use `run` or `fit`, which put signals off.

    Args:
        config: the settings.
        data: the data set.
        out: the run's directory; None for a run in memory.
        progress: shows the progress.
        build: makes the model.
        pace: chooses the lengths of compiled calls.
        interrupts: the signals that end the run.
        cluster: the processes of the run.
        task: what is learned; classification by default.
        callbacks: are told of the run; only those of process 0.

    Raises:
        ConfigError: settings that cannot be run with this data set or on these devices.
    """

    def __init__(
        self,
        config: RunConfig,
        data: Dataset,
        out: Path | None,
        progress: Progress,
        build: Builder,
        pace: Pace | None,
        interrupts: Interrupts,
        cluster: ProcessGroup,
        task: Task | None = None,
        callbacks: Callbacks | None = None,
    ) -> None:
        self.config, self.data, self.interrupts, self.cluster = config, data, interrupts, cluster
        self.progress, self.out = progress, out
        self.callbacks = callbacks if callbacks and cluster.first else Callbacks()
        self.steps = CompiledSteps(config, data, build, task)
        self.task = self.steps.task
        self.records = make_records(self.steps, data, out, cluster, progress)
        rest = (progress, interrupts, cluster, self.callbacks, pace)
        self.epochs = EpochLoop(self.steps, self.records, *rest)

    @property
    def state(self) -> TrainState:
        """Parameters and all else that changes, as they stand."""
        return self.epochs.state

    def run(self) -> JsonObject:
        """Restore, train, record."""
        records, ending = self.records, {"status": "failed"}
        try:
            ending = self.trained()
            return ending
        except Stopped as stop:
            ending = records.record("stopped") if stop.result is None else stop.result
            raise
        except CallbackError as error:
            if error.method == "on_step" and self.cluster.count == 1:
                self.epochs.save_unless_failed()
            records.record_failure(str(error))
            ending["error"] = str(error)
            raise error.cause from error.cause.__cause__
        except (RunFailed, CheckpointError) as error:
            records.record_failure(str(error))
            ending["error"] = str(error)
            raise
        finally:
            self.progress.end()
            self.callbacks.end(ending)

    def trained(self) -> JsonObject:
        """Restore and train; returns the result of all epochs."""
        records = self.records
        self.cluster.assert_equal("images", self.data.fingerprint)
        state = records.restore(self.state)
        if state is not None:
            self.epochs.state = self.steps.spread.place(state)
        records.start()
        self.start_callbacks()
        if self.goes_on():
            records.record("running")
            self.say_extension()
            self.compile()
            while self.goes_on():
                self.epochs.run()
        return self.complete()

    def goes_on(self) -> bool:
        """Whether there are epochs left and no callback asks for the end."""
        stop = self.cluster.broadcast_from_main(lambda: self.callbacks.stop_reason)
        self.stop_reason: str | None = stop
        return len(self.records.history) < self.config.epochs and stop is None

    def start_callbacks(self) -> None:
        """Tell the callbacks which run starts, and where it stands."""
        counts = self.steps.parameters, self.steps.steps_per_epoch
        history, step = [dict(line) for line in self.records.history], int(self.state.step)
        run = RunInfo(self.config, self.task, self.out, *counts, history, step)
        self.callbacks.start(run)

    def say_extension(self) -> None:
        """Say what the learning rates of more epochs than were planned are."""
        text = extension_text(self.config, self.records.history, self.steps.rates_of_epochs)
        if text is not None and self.cluster.first:
            self.progress.warn(text)

    def compile(self) -> None:
        """Compile training and evaluation.

        Raises Stopped at once if a signal comes, for nothing is lost by that.
        """
        self.progress.say("compiling ...")
        with self.interrupts.compiling(alone=self.cluster.count == 1):
            seconds = self.steps.compile(self.state, self.interrupts.wait)
        self.records.clock["compile_seconds"] += seconds
        self.progress.say(f"compiled in {seconds:.1f} s")

    def complete(self) -> JsonObject:
        """Record a run whose epochs are done, with its predictions of the test split.

        Raises Stopped after that if a signal came in the meantime, for a caller of several runs.
        """
        report = self.records.store_predictions(self.predict)
        status, done = "complete", len(self.records.history)
        if done < self.config.epochs:
            status = "stopped_early"
            report = {**report, "stopped_early": {"epoch": done, "reason": self.stop_reason}}
        result = self.records.record(status, report)
        if self.interrupts.signum is not None:
            raise Stopped(self.interrupts.signum, result=result)
        return result

    def predict(self) -> Predictions:
        """The predictions for the test split with the present parameters.

        Raises RunFailed if a solve fails.
        """
        learned, epochs = self.state.learned, len(self.records.history)
        pause = partial(self.epochs.pause, 1)
        return predict_split(
            self.steps, learned, epochs, self.progress, self.interrupts, self.cluster, pause
        )
