"""Epochs of training and evaluation, saved so that nothing computed is lost."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from jaxode.callbacks.calls import Callbacks
from jaxode.data import DataError
from jaxode.data.base import VALIDATION
from jaxode.distributed.process_group import ProcessGroup
from jaxode.errors import RunFailed, Stopped
from jaxode.runs.progress import Progress, epoch_line, first_step_line
from jaxode.runs.run_writer import RunWriter
from jaxode.train.bar import bar_values, seconds_left
from jaxode.train.compiled_steps import CompiledSteps
from jaxode.train.epoch_metrics import by_block, epoch_metrics, mean_loss
from jaxode.train.failed_pass import raise_if_failed
from jaxode.train.feeds import Pass
from jaxode.train.in_memory import InMemoryRecords
from jaxode.train.interrupts import Interrupts
from jaxode.train.pace import Pace
from jaxode.train.state import TrainState
from jaxode.train.step import Evaluated
from jaxode.train.step_reports import StepReports


class EpochLoop:
    """The state of training, and what brings it forward an epoch at a time.

    Args:
        steps: the compiled steps of the run.
        records: where the run is kept.
        progress: shows the progress.
        interrupts: the signals that end the run.
        cluster: the processes of the run.
        callbacks: are told of steps and epochs.
        pace: chooses the lengths of compiled calls.
    """

    def __init__(
        self,
        steps: CompiledSteps,
        records: RunWriter | InMemoryRecords,
        progress: Progress,
        interrupts: Interrupts,
        cluster: ProcessGroup,
        callbacks: Callbacks,
        pace: Pace | None,
    ) -> None:
        self.steps, self.records, self.progress = steps, records, progress
        self.interrupts, self.cluster, self.callbacks = interrupts, cluster, callbacks
        self.config, self.task = steps.config, steps.task
        self.paces = {"train": pace or Pace(), "evaluation": pace or Pace()}
        self.reports = StepReports(steps) if callbacks.want_steps else None
        self.state: TrainState = steps.first_state()

    def save_unless_failed(self) -> None:
        """Save what was computed, unless the last call ended with something that failed."""
        if int(self.state.totals.bad_batch) < 0:
            self.records.save(self.state, int(self.state.step))

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

    def run(self) -> None:
        """Train and evaluate one epoch, or the rest of one, and save it."""
        records, number = self.records, len(self.records.history)
        self.train(number)
        both = self.config.train_evaluation == "every" or number + 1 == self.config.epochs
        train = self.evaluate("train", "training images") if both else None
        test = self.evaluate("test", "test images")
        held = None
        if VALIDATION in self.steps.feed.counts:
            held = self.evaluate(VALIDATION, "validation images")
        self.progress.end()
        rate = float(jnp.asarray(self.steps.rate((number + 1) * self.steps.steps_per_epoch - 1)))
        skipped = int(self.state.scale.skipped) if self.state.scale else None
        records.append(
            epoch_metrics(
                self.task,
                number + 1,
                rate,
                records.clock,
                self.state.totals,
                train,
                test,
                held,
                skipped,
            )
        )
        self.state = self.state._replace(totals=self.steps.zero())
        records.save(self.state, int(self.state.step))
        records.record("running")
        last = records.history[-1]
        texts = self.task.progress_text(last)
        self.progress.say(epoch_line(last, self.config.epochs, texts, self.task.examples))
        self.callbacks.epoch(last)

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
        first = int(self.state.step) == 0
        # The first step alone, so that its cost can be shown.
        rows = self.pause(1 if first else pace.rows(steps - done))
        begin = time.perf_counter()
        with self.reading(f"epoch {number + 1}"):
            self.state = self.steps.train(self.state, key, batches, done + rows)
        self.interrupts.wait(partial(jax.block_until_ready, self.state))
        self.add_time("train_seconds", pace, rows, begin)
        totals = self.state.totals
        if self.reports is not None:
            self.callbacks.steps(self.reports.of(number, done, totals))
        place = f"epoch {number + 1}, step {int(totals.bad_batch) + 1} of {steps}"
        raise_if_failed(totals, self.config, place)
        if first:
            counts = (by_block(totals, name) for name in ("nfe", "accepted", "rejected"))
            self.progress.say(first_step_line(mean_loss(totals), *counts))
        left, history = (self.config.epochs - number) * steps - done - rows, self.records.history
        seconds = seconds_left(left, steps, pace.seconds_a_row, history)
        self.progress.advance(rows, **bar_values(self.task, totals, history, seconds))
        return done + rows

    def evaluate(self, split: str, name: str) -> Evaluated:
        """Evaluate a split with the present parameters.

        Args:
            split: train, test or validation.
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
