"""The training loop: epochs of training and evaluation, saved so that nothing computed is lost."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from jaxode.config import RunConfig
from jaxode.data import DataError, Dataset
from jaxode.distributed.process_group import ProcessGroup
from jaxode.errors import CheckpointError, RunFailed, Stopped
from jaxode.ode import SolveError
from jaxode.runs.progress import Progress, epoch_line, first_step_line
from jaxode.runs.provenance import commit, cores, device, versions
from jaxode.runs.run_directory import RunDirectory
from jaxode.runs.run_writer import RunWriter
from jaxode.strict_json import JsonObject
from jaxode.tasks import Predictions, Task
from jaxode.train.compiled_steps import Builder, CompiledSteps
from jaxode.train.epoch_metrics import by_block, epoch_metrics
from jaxode.train.failed_pass import raise_if_failed
from jaxode.train.feeds import Pass
from jaxode.train.in_memory import InMemoryRecords
from jaxode.train.interrupts import Interrupts
from jaxode.train.pace import Pace
from jaxode.train.predict import PredictionLoop
from jaxode.train.state import TrainState
from jaxode.train.step import Evaluated


class Trainer:
    """One run in progress. Use `run` or `fit`, which put signals off.

    Args:
        config: the settings.
        data: the data set.
        out: the run's directory; None for a run in memory.
        progress: shows the progress.
        tensorboard: write event files too.
        build: makes the model.
        pace: chooses the lengths of compiled calls.
        interrupts: the signals that end the run.
        cluster: the processes of the run.
        task: what is learned; classification by default.

    Raises:
        ConfigError: settings that cannot be run with this data set or on these devices.
    """

    def __init__(
        self,
        config: RunConfig,
        data: Dataset,
        out: Path | None,
        progress: Progress,
        tensorboard: bool,
        build: Builder,
        pace: Pace | None,
        interrupts: Interrupts,
        cluster: ProcessGroup,
        task: Task | None = None,
    ) -> None:
        self.config, self.data, self.interrupts, self.cluster = config, data, interrupts, cluster
        self.progress = progress
        self.paces = {"train": pace or Pace(), "evaluation": pace or Pace()}
        self.steps = CompiledSteps(config, data, build, task)
        self.task = self.steps.task
        facts = self._facts()
        self.records: RunWriter | InMemoryRecords
        if out is None:
            self.records = InMemoryRecords(self.task, facts)
        else:
            rest = (self.steps.steps_per_epoch, cluster, progress, tensorboard, self.task)
            self.records = RunWriter(RunDirectory(out), config, data, facts, *rest)
        self.state: TrainState = self.steps.first_state()

    def _facts(self) -> JsonObject:
        return {
            "train_images": self.steps.train_count,
            "test_images": self.steps.test_count,
            "parameters": self.steps.parameters,
            "kernels": self.steps.kernels,
            "device": device(),
            "cores": cores(),
            "devices": self.steps.spread.count,
            "versions": versions(),
            "commit": commit(),
        }

    def run(self) -> JsonObject:
        """Restore, train, record."""
        records = self.records
        try:
            self.cluster.assert_equal("images", self.data.fingerprint)
            state = records.restore(self.state)
            if state is not None:
                self.state = self.steps.spread.place(state)
            records.start()
            if len(records.history) == self.config.epochs:
                return self.complete()
            records.record("running")
            self.compile()
            while len(records.history) < self.config.epochs:
                self.epoch()
            return self.complete()
        except Stopped as stop:
            if stop.result is None:
                records.record("stopped")
            raise
        except (RunFailed, CheckpointError) as error:
            records.record_failure(str(error))
            raise
        finally:
            self.progress.end()
            records.close()

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
        result = self.records.record("complete", self.records.store_predictions(self.predict))
        if self.interrupts.signum is not None:
            raise Stopped(self.interrupts.signum, result=result)
        return result

    def predict(self) -> Predictions:
        """The predictions for the test split with the present parameters.

        Raises RunFailed if a solve fails.
        """
        with self.interrupts.compiling(alone=self.cluster.count == 1):
            images = PredictionLoop(self.steps, self.state.learned, self.interrupts.wait)
        with closing(images):
            self.progress.begin("each test image", images.batches)
            for number in range(images.batches):
                self.pause(1)
                try:
                    self.interrupts.wait(images.step)
                except (SolveError, DataError) as error:
                    where = f"batch {number + 1} of {images.batches}"
                    raise RunFailed(f"record of the test images, {where}: {error}") from None
                self.progress.advance(1)
            return images.predictions(len(self.records.history))

    def pause(self, rows: int) -> int:
        """Between two chunks: save if it is time.

        Returns how many rows come next; this process would do `rows`.

        Raises Stopped, having saved, if a signal came, to whichever process.
        """
        every = self.cluster.all_gather([self.interrupts.signum or 0, rows, self.records.due])
        signum, (_, rows, due) = max(numbers[0] for numbers in every), every[0]
        if signum or due:
            self.records.save(self.state, int(self.state.step))
        if signum:
            raise Stopped(signum)
        return rows

    def epoch(self) -> None:
        """Train and evaluate one epoch, or the rest of one, and save it."""
        records, number = self.records, len(self.records.history)
        self.train(number)
        both = self.config.train_evaluation == "every" or number + 1 == self.config.epochs
        train = self.evaluate("train", "training images") if both else None
        test = self.evaluate("test", "test images")
        self.progress.end()
        rate = float(jnp.asarray(self.steps.rate((number + 1) * self.steps.steps_per_epoch - 1)))
        skipped = int(self.state.scale.skipped) if self.state.scale else None
        records.append(
            epoch_metrics(
                self.task, number + 1, rate, records.clock, self.state.totals, train, test, skipped
            )
        )
        self.state = self.state._replace(totals=self.steps.zero())
        records.save(self.state, int(self.state.step))
        records.record("running")
        last = records.history[-1]
        self.progress.say(epoch_line(last, self.config.epochs, self.task.progress_text(last)))

    def train(self, number: int) -> None:
        """The steps of epoch `number` (from 0) that are still to be done."""
        steps, done = self.steps.steps_per_epoch, int(self.state.totals.batches)
        self.progress.begin(f"epoch {number + 1}/{self.config.epochs}", steps, done)
        if done == steps:
            return
        key, batches = self.steps.epoch(number, done)
        with closing(batches):
            while done < steps:
                done = self.train_some(number, key, batches, done)

    def train_some(self, number: int, key: PRNGKeyArray, batches: Pass, done: int) -> int:
        """Train some more steps of an epoch.

        Args:
            number: of the epoch, from 0.
            key: the epoch's.
            batches: the epoch's.
            done: steps that are done.

        Returns:
            how many are done now.
        """
        steps, pace = self.steps.steps_per_epoch, self.paces["train"]
        taken, before = int(self.state.step), self.state.totals
        first, shown = taken == 0, taken < self.progress.losses
        sums = float(before.loss), int(before.images)
        # The first step alone, so that its cost can be shown.
        rows = self.pause(1 if first or shown else pace.rows(steps - done))
        begin = time.perf_counter()
        with self.reading(f"epoch {number + 1}"):
            self.state = self.steps.train(self.state, key, batches, done + rows)
        self.interrupts.wait(partial(jax.block_until_ready, self.state))
        self.add_time("train_seconds", pace, rows, begin)
        totals = self.state.totals
        place = f"epoch {number + 1}, step {int(totals.bad_batch) + 1} of {steps}"
        raise_if_failed(totals, self.config, place)
        if shown and self.cluster.first:
            added = float(totals.loss) - sums[0], int(totals.images) - sums[1]
            self.progress.step_loss(taken + 1, added[0] / added[1])
        if first:
            counts = (by_block(totals, name) for name in ("nfe", "accepted", "rejected"))
            self.progress.say(first_step_line(float(totals.loss) / int(totals.images), *counts))
        self.progress.advance(rows, loss=f"{float(totals.loss) / int(totals.images):.3f}")
        return done + rows

    def evaluate(self, split: str, name: str) -> Evaluated:
        """Evaluate a split with the present parameters.

        Args:
            split: train or test.
            name: of the split, for progress and messages.

        Returns:
            Sums over its batches.
        """
        sums, pace, done = self.steps.empty_metrics(), self.paces["evaluation"], 0
        where = f"evaluation of the {name} after epoch {len(self.records.history) + 1}"
        with closing(self.steps.feed.evaluation(split)) as batches:
            self.progress.begin(name, batches.count)
            while done < batches.count:
                rows = self.pause(pace.rows(batches.count - done))
                begin = time.perf_counter()
                with self.reading(where):
                    sums = self.steps.evaluate(self.state.learned, sums, batches, done + rows)
                self.interrupts.wait(partial(jax.block_until_ready, sums))
                self.add_time("eval_seconds", pace, rows, begin)
                batch = f"batch {int(sums.totals.bad_batch) + 1} of {batches.count}"
                raise_if_failed(sums.totals, self.config, f"{where}, {batch}")
                done += rows
                self.progress.advance(rows)
        return sums

    @contextmanager
    def reading(self, where: str) -> Iterator[None]:
        """Context in which a stream that is not as announced fails the run."""
        try:
            yield
        except DataError as error:
            raise RunFailed(f"{where}: {error}") from error

    def add_time(self, name: str, pace: Pace, rows: int, begin: float) -> None:
        """Add the time since `begin` to the clock of the epoch, and adapt the pace to it."""
        seconds = time.perf_counter() - begin
        self.records.clock[name] += seconds
        pace.measured(rows, seconds)
