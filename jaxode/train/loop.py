"""The training loop: epochs of training and evaluation, saved so that nothing computed is lost."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from jaxode.config import ConfigError, RunConfig
from jaxode.data import ImageSet
from jaxode.nn import build_classifier
from jaxode.ode import SolveError, explain_failure
from jaxode.train import outcomes
from jaxode.train.checkpoint import Checkpoint, Checkpoints, checkpoint_name
from jaxode.train.cluster import Cluster
from jaxode.train.errors import CheckpointError, ResumeError, RunFailed, Stopped
from jaxode.train.figures import by_block, metrics_line
from jaxode.train.files import write_whole
from jaxode.train.interrupts import Interrupts
from jaxode.train.pace import Pace
from jaxode.train.program import Builder, Program, Span
from jaxode.train.progress import Progress, epoch_line, first_step_line
from jaxode.train.provenance import commit, device, versions
from jaxode.train.recorder import CONFIG, Recorder
from jaxode.train.resume import FREE, differences
from jaxode.train.state import Totals, TrainState
from jaxode.train.step import LOSS_NOT_FINITE, SCALE_TOO_SMALL

SAVE_EVERY_SECONDS = 600.0
"""Longest time between checkpoints; an epoch of the protocol takes an hour on a slow machine."""


def run(
    config: RunConfig,
    data: ImageSet,
    out: Path,
    *,
    progress: Progress | None = None,
    tensorboard: bool = False,
    build: Builder = build_classifier,
    pace: Pace | None = None,
    cluster: Cluster | None = None,
) -> dict[str, Any]:
    """Train to the last epoch, going on from the checkpoints in `out` if there are any; returns the result.

    Args:
        config: settings; `config.data.data` must be what `data` is, "full" or "sample".
        data: images and labels.
        out: an existing directory, see `files.make_writable`.
        progress: what a person sees; quiet if left out.
        tensorboard: write event files too.
        build: what makes the model.
        pace: chooses the lengths of compiled calls.
        cluster: the processes of the run, all of which call this; `out` and what goes there is process 0's alone.

    Raises:
        ConfigError: settings that cannot be run.
        ResumeError: `out` holds checkpoints of other settings or other data.
        CheckpointError: a checkpoint could not be written, or none read.
        RunFailed: a value was not finite or a solve failed; named with its epoch and step.
        Stopped: SIGINT or SIGTERM came; the state is saved.
        OSError: a result file could not be written.
    """
    if config.precision == "float64" and not jax.config.jax_enable_x64:  # pyright: ignore[reportAttributeAccessIssue]
        raise ConfigError('precision float64 needs jax.config.update("jax_enable_x64", True) before anything else')
    if config.data.data != data.source:
        raise ConfigError(f"data must be {data.source}, which the images are, got {config.data.data!r}")
    with Interrupts((progress or Progress(quiet=True)).warn) as interrupts:
        return Trainer(config, data, out, progress, tensorboard, build, pace, interrupts, cluster or Cluster()).run()


class Trainer:
    """One run in progress. Use `run`, which holds signals off."""

    def __init__(
        self,
        config: RunConfig,
        data: ImageSet,
        out: Path,
        progress: Progress | None,
        tensorboard: bool,
        build: Builder,
        pace: Pace | None,
        interrupts: Interrupts,
        cluster: Cluster,
    ) -> None:
        self.config, self.interrupts, self.cluster = config, interrupts, cluster
        self.progress = progress or Progress(quiet=True)
        self.paces = {"train": pace or Pace(), "evaluation": pace or Pace()}
        self.data, self.fingerprint = data, data.fingerprint
        self.program = Program(config, data, build)
        self.checkpoints = Checkpoints(out / "checkpoints")
        self.recorder = Recorder(out, config, self._facts(), tensorboard and cluster.first)
        self.history: list[dict[str, Any]] = []
        self.clock = {"train_seconds": 0.0, "eval_seconds": 0.0, "compile_seconds": 0.0}
        self.state: TrainState = self.program.first_state()
        self.saved_at = time.monotonic()
        if cluster.first:
            cluster.at_loss.append(self._record_failure)

    def _facts(self) -> dict[str, Any]:
        return {
            "train_images": self.program.train_count,
            "test_images": self.program.test_count,
            "parameters": self.program.parameters,
            "data_fingerprint": self.fingerprint,
            "device": device(),
            "devices": self.program.spread.count,
            "processes": self.cluster.count,
            "versions": versions(),
            "commit": commit(),
        }

    def run(self) -> dict[str, Any]:
        """Restore, train, record."""
        try:
            self.cluster.alike("images", self.fingerprint)
            self.restore()
            self.cluster.told(self.recorder.start)
            if len(self.history) == self.config.epochs:
                return self.complete()
            self.record("running")
            seconds = self.program.compile(self.state, self.interrupts.wait)
            self.clock["compile_seconds"] += seconds
            self.progress.say(f"compiled in {seconds:.1f} s")
            while len(self.history) < self.config.epochs:
                self.epoch()
            return self.complete()
        except Stopped:
            self.record("stopped")
            raise
        except (RunFailed, CheckpointError) as error:
            if self.cluster.first:
                self._record_failure(str(error))
            raise
        finally:
            self.progress.end()
            self.recorder.close()

    def record(self, status: str, more: dict[str, Any] | None = None) -> dict[str, Any]:
        """Write the files of the run; returns the result."""
        return self.cluster.told(lambda: self.recorder.write(self.history, status, more=more))

    def complete(self) -> dict[str, Any]:
        """Record a run whose epochs are done, with what became of each test image if its settings ask for that."""
        return self.record("complete", self.images() if outcomes.wanted(self.config) else None)

    def images(self) -> dict[str, Any]:
        """Write the record and the picture of the test images, unless they are there; returns what a result says."""
        out, epochs = self.recorder.out, len(self.history)
        there = self.cluster.told(lambda: outcomes.load(out, epochs) is not None)
        seen = None if there else self.look()

        def write() -> dict[str, Any]:
            if seen is not None:
                outcomes.save(out, seen)
            found = outcomes.load(out, epochs) if seen is None else seen
            assert found is not None
            write_whole(out / outcomes.PICTURE, outcomes.picture(found, self.data, self.recorder.title()))
            return {"nfe_per_image": outcomes.summary(found, self.data.spec.class_names)}

        return self.cluster.told(write)

    def look(self) -> outcomes.Outcomes:
        """The outcomes of all test images with the present parameters. Raises RunFailed if a solve fails."""
        images = outcomes.Pass(self.program, self.state.params, self.data, self.interrupts.wait)
        self.progress.begin("each test image", images.batches)
        for number in range(images.batches):
            self.pause(1)
            try:
                self.interrupts.wait(images.step)
            except SolveError as error:
                raise RunFailed(f"record of the test images, batch {number + 1} of {images.batches}: {error}") from None
            self.progress.advance(1)
        return images.found(len(self.history))

    def _record_failure(self, text: str) -> None:
        try:
            self.recorder.write(self.history, "failed", text)
        except OSError as error:  # the failure itself is the news, and a full disk may be its cause
            self.progress.warn(f"result.json could not be written: {error.strerror}")

    def restore(self) -> None:
        """Take over the newest whole checkpoint. Raises ResumeError if it is of other settings or other data."""
        state = self.state

        def read() -> dict[str, Any] | None:
            nonlocal state
            found = self.checkpoints.load(self.state, self.progress.warn)
            if found is None:
                if (self.recorder.out / CONFIG).exists():
                    self.progress.say("there is no checkpoint yet: starting from the beginning")
                return None
            self.suits(found)
            self.progress.say(f"going on from {found.name}")
            state = found.state
            return {"history": found.meta["history"], "clock": found.meta["clock"]}

        meta = self.cluster.told(read)
        if meta is not None:
            self.state = self.program.spread.place(self.cluster.arrays(state))
            self.history, self.clock = meta["history"], meta["clock"]

    def suits(self, found: Checkpoint) -> None:
        """Raise ResumeError if a checkpoint is not of this run."""
        has = RunConfig.from_json(found.meta["config"])
        asked = {name: value for name, value in self.config.flat().items() if name not in FREE}
        wrong = differences(has, asked)
        if wrong:
            raise ResumeError(f"checkpoint {found.name} is of other settings than config.json: {', '.join(wrong)}")
        if found.meta["fingerprint"] != self.fingerprint:
            raise ResumeError("the images are not those of the run: their fingerprints differ")
        if len(found.meta["history"]) > self.config.epochs:
            raise ResumeError(f"the run already has {len(found.meta['history'])} epochs, asked {self.config.epochs}")

    def save(self) -> None:
        """Write a checkpoint of this moment."""
        best = max(self.history, key=lambda record: record["test_accuracy"], default=None)
        meta = {
            "config": self.config.to_json(),
            "fingerprint": self.fingerprint,
            "history": self.history,
            "clock": self.clock,
        }
        name = checkpoint_name(len(self.history), int(self.state.step))
        best_name = checkpoint_name(best["epoch"], self.steps_before(best["epoch"])) if best else None
        self.cluster.told(lambda: self.checkpoints.save(name, self.state, meta, best_name))
        self.saved_at = time.monotonic()

    def steps_before(self, number: int) -> int:
        """How many steps are taken before epoch `number` (from 0)."""
        return number * self.program.steps_per_epoch

    def pause(self, rows: int) -> int:
        """Between two chunks: save if it is time. Returns how many rows come next; this process would do `rows`.

        Raises Stopped, having saved, if a signal came, to whichever process.
        """
        due = time.monotonic() - self.saved_at > SAVE_EVERY_SECONDS
        said = self.cluster.gathered([self.interrupts.signum or 0, rows, due])
        signum, (_, rows, due) = max(numbers[0] for numbers in said), said[0]
        if signum or due:
            self.save()
        if signum:
            raise Stopped(signum)
        return rows

    def epoch(self) -> None:
        """Train and evaluate one epoch, or the rest of one, and save it."""
        number = len(self.history)
        self.train(number)
        train = self.evaluate(self.program.train_span, "training images")
        test = self.evaluate(self.program.test_span, "test images")
        self.progress.end()
        rate = float(jnp.asarray(self.program.rate(self.steps_before(number + 1) - 1)))
        skipped = int(self.state.scale.skipped) if self.state.scale else None
        self.history.append(metrics_line(number + 1, rate, self.clock, self.state.totals, train, test, skipped))
        self.clock = dict.fromkeys(self.clock, 0.0)
        self.state = self.state._replace(totals=self.program.zero())
        self.save()
        self.record("running")
        self.progress.say(epoch_line(self.history[-1], self.config.epochs))

    def train(self, number: int) -> None:
        """The steps of epoch `number` (from 0) that are still to be done."""
        steps, pace = self.program.steps_per_epoch, self.paces["train"]
        key, table = self.program.epoch(number)
        done = int(self.state.totals.batches)
        self.progress.begin(f"epoch {number + 1}/{self.config.epochs}", steps, done)
        while done < steps:
            first = int(self.state.step) == 0
            # The first step alone, so that its cost can be told.
            rows = self.pause(1 if first else pace.rows(steps - done))
            begin = time.perf_counter()
            self.state = self.program.train(self.state, key, table, done + rows)
            self.interrupts.wait(partial(jax.block_until_ready, self.state))
            self.note("train_seconds", pace, rows, begin)
            totals = self.state.totals
            self.check(totals, f"epoch {number + 1}, step {int(totals.bad_batch) + 1} of {steps}")
            if first:
                counts = (by_block(totals, name) for name in ("nfe", "accepted", "rejected"))
                self.progress.say(first_step_line(float(totals.loss) / int(totals.images), *counts))
            done += rows
            self.progress.advance(rows, loss=f"{float(totals.loss) / int(totals.images):.3f}")

    def evaluate(self, span: Span, name: str) -> Totals:
        """Totals over all batches of a span with the present parameters."""
        totals, pace, done = self.program.zero(), self.paces["evaluation"], 0
        where = f"evaluation of the {name} after epoch {len(self.history) + 1}"
        self.progress.begin(name, span.batches)
        while done < span.batches:
            rows = self.pause(pace.rows(span.batches - done))
            begin = time.perf_counter()
            totals = self.program.evaluate(self.state.params, totals, span, done + rows)
            self.interrupts.wait(partial(jax.block_until_ready, totals))
            self.note("eval_seconds", pace, rows, begin)
            self.check(totals, f"{where}, batch {int(totals.bad_batch) + 1} of {span.batches}")
            done += rows
            self.progress.advance(rows)
        return totals

    def note(self, name: str, pace: Pace, rows: int, begin: float) -> None:
        """Book the time since `begin`."""
        seconds = time.perf_counter() - begin
        self.clock[name] += seconds
        pace.measured(rows, seconds)

    def check(self, totals: Totals, where: str) -> None:
        """Raise RunFailed if something in the pass went wrong."""
        if int(totals.bad_batch) < 0:
            return
        if int(totals.failure) > 0:
            raise RunFailed(f"{where}: {explain_failure(int(totals.failure))}")
        if int(totals.broken) == SCALE_TOO_SMALL:
            raise RunFailed(
                f"{where}: the gradient in float16 is not finite (NaN or infinity) however little the loss is scaled;"
                " use precision bfloat16, or a smaller lr"
            )
        what = "the loss is" if int(totals.broken) == LOSS_NOT_FINITE else "the update made a parameter"
        hint = "a smaller lr may help"
        if self.config.model.model == "odenet" and self.config.solve.gradient == "backsolve":
            hint += "; or the backsolve ran out of steps: raise max_steps or loosen backward_rtol and backward_atol"
        raise RunFailed(f"{where}: {what} not finite (NaN or infinity); {hint}")
