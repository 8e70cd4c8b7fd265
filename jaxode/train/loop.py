"""The training loop: epochs of training and evaluation, saved so that nothing computed is lost."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import PRNGKeyArray

from jaxode.checks import ConfigError
from jaxode.config import RunConfig
from jaxode.data import DataError, Dataset
from jaxode.distributed.process_group import ProcessGroup
from jaxode.errors import CheckpointError, RunFailed, Stopped
from jaxode.models import create_model
from jaxode.ode import SolveError, explain_failure
from jaxode.runs.progress import Progress, epoch_line, first_step_line
from jaxode.runs.provenance import commit, cores, device, versions
from jaxode.runs.run_directory import RunDirectory
from jaxode.tasks import Predictions, Task
from jaxode.train.compiled_steps import Builder, CompiledSteps
from jaxode.train.epoch_metrics import by_block, epoch_metrics
from jaxode.train.feeds import Pass
from jaxode.train.in_memory import InMemory
from jaxode.train.interrupts import Interrupts
from jaxode.train.pace import Pace
from jaxode.train.predict import PredictionLoop
from jaxode.train.state import Totals, TrainState
from jaxode.train.step import LOSS_NOT_FINITE, SCALE_TOO_SMALL, Evaluated


def run(
    config: RunConfig,
    data: Dataset,
    out: Path,
    *,
    progress: Progress | None = None,
    tensorboard: bool = False,
    build: Builder = create_model,
    pace: Pace | None = None,
    cluster: ProcessGroup | None = None,
    task: Task | None = None,
) -> dict[str, Any]:
    """Train to the last epoch and return the result.

    Training goes on from the checkpoints in `out`, if there are any.

    Args:
        config: settings; `config.data.data` must be what `data` is, "full" or "sample".
        data: what is trained on: as `jaxode.data.load` returns it, or your own.
        out: an existing directory that no other process writes into, see
          `jaxode.runs.lock_run_directory`.
        progress: where progress is shown; nowhere if left out.
        tensorboard: write event files too.
        build: what makes the model.
        pace: chooses the lengths of compiled calls.
        cluster: the processes of the run, all of which call this; `out` and what goes there is
          process 0's alone.
        task: what is learned; classification by default.

    Raises:
        ConfigError: settings that cannot be run.
        ResumeError: `out` holds checkpoints of other settings or other data, or results without a
          checkpoint.
        CheckpointError: a checkpoint could not be written, or none read.
        RunFailed: a value was not finite or a solve failed; named with its epoch and step.
        Stopped: a signal asked for an end (see `Interrupts`); the state is saved.
        OSError: a result file could not be written.
    """
    if config.precision == "float64" and not jax.config.jax_enable_x64:  # pyright: ignore[reportAttributeAccessIssue]
        raise ConfigError(
            'precision float64 needs jax.config.update("jax_enable_x64", True) before anything else'
        )
    if config.data.data != data.source:
        raise ConfigError(
            f"data must be {data.source}, which the images are, got {config.data.data!r}"
        )
    cluster = cluster or ProcessGroup()
    with Interrupts((progress or Progress(quiet=True)).warn) as interrupts:
        with interrupts.compiling(alone=cluster.count == 1):
            trainer = Trainer(
                config, data, out, progress, tensorboard, build, pace, interrupts, cluster, task
            )
        return trainer.run()


class Fitted(NamedTuple):
    """A trained model, the metrics of each epoch, and the result."""

    model: nnx.Module
    history: list[dict[str, Any]]
    result: dict[str, Any]


def fit(
    model: nnx.Module,
    task: Task,
    data: Dataset,
    config: RunConfig,
    *,
    progress: Progress | None = None,
) -> Fitted:
    """Train a model of your own in memory: no file is written.

    Args:
        model: any `nnx.Module`; it is left as it is, and a trained copy returned.
        task: what it learns.
        data: training and test examples.
        config: epochs, batch size, optimizer, seed, precision and devices; its settings of model
            and solve are not used.
        progress: where progress is shown; nowhere if left out.

    Returns:
        the trained model, the history, and the result that a run's directory would have.

    Raises:
        ConfigError: settings that cannot be run.
        RunFailed: a value was not finite or a solve failed.
        Stopped: a signal asked for an end.

    Example:
      >>> import numpy as np
      >>> from flax import nnx
      >>> from jaxode.config import OptimConfig, RunConfig
      >>> from jaxode.data import ArrayDataset
      >>> from jaxode.tasks import Regression
      >>> from jaxode.train import fit
      >>> x = np.linspace(-1, 1, 32, dtype=np.float32)[:, None]
      >>> line = {"input": x, "target": 2 * x}
      >>> data = ArrayDataset("a line", line, line)
      >>> model = nnx.Linear(1, 1, rngs=nnx.Rngs(0))
      >>> config = RunConfig(epochs=40, batch_size=8, optim=OptimConfig(lr=0.1))
      >>> found = fit(model, Regression(), data, config)
      >>> round(found.result["test_rmse"], 2)
      0.0
    """
    with Interrupts((progress or Progress(quiet=True)).warn) as interrupts:

        def build(*_: Any, **__: Any) -> nnx.Module:
            return nnx.clone(model)

        with interrupts.compiling():
            trainer = Trainer(
                config, data, None, progress, False, build, None, interrupts, ProcessGroup(), task
            )
        result = trainer.run()
    trained = nnx.merge(trainer.steps.work.graphdef, *trainer.state.learned)
    return Fitted(trained, trainer.ledger.history, result)


class Trainer:
    """One run in progress. Use `run`, which holds signals off."""

    def __init__(
        self,
        config: RunConfig,
        data: Dataset,
        out: Path | None,
        progress: Progress | None,
        tensorboard: bool,
        build: Builder,
        pace: Pace | None,
        interrupts: Interrupts,
        cluster: ProcessGroup,
        task: Task | None = None,
    ) -> None:
        self.config, self.data, self.interrupts, self.cluster = config, data, interrupts, cluster
        self.progress = progress or Progress(quiet=True)
        self.paces = {"train": pace or Pace(), "evaluation": pace or Pace()}
        self.steps = CompiledSteps(config, data, build, task)
        self.task = self.steps.task
        facts, per_epoch = self._facts(), self.steps.steps_per_epoch
        self.ledger: RunDirectory | InMemory = (
            InMemory(self.task, facts)
            if out is None
            else RunDirectory(
                out, config, data, facts, per_epoch, cluster, self.progress, tensorboard, self.task
            )
        )
        self.state: TrainState = self.steps.first_state()

    def _facts(self) -> dict[str, Any]:
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

    def run(self) -> dict[str, Any]:
        """Restore, train, record."""
        ledger = self.ledger
        try:
            self.cluster.assert_equal("images", self.data.fingerprint)
            state = ledger.restored(self.state)
            if state is not None:
                self.state = self.steps.spread.place(state)
            ledger.start()
            if len(ledger.history) == self.config.epochs:
                return self.complete()
            ledger.record("running")
            self.compile()
            while len(ledger.history) < self.config.epochs:
                self.epoch()
            return self.complete()
        except Stopped as stop:
            if stop.result is None:
                ledger.record("stopped")
            raise
        except (RunFailed, CheckpointError) as error:
            ledger.record_failure(str(error))
            raise
        finally:
            self.progress.end()
            ledger.close()

    def compile(self) -> None:
        """Compile training and evaluation.

        Raises Stopped at once if a signal comes, for nothing is lost by that.
        """
        self.progress.say("compiling ...")
        with self.interrupts.compiling(alone=self.cluster.count == 1):
            seconds = self.steps.compile(self.state, self.interrupts.wait)
        self.ledger.clock["compile_seconds"] += seconds
        self.progress.say(f"compiled in {seconds:.1f} s")

    def complete(self) -> dict[str, Any]:
        """Record a run whose epochs are done, with what became of each test image.

        Raises Stopped after that if a signal came in the meantime, or whoever makes several runs
        would not hear of it.
        """
        result = self.ledger.record("complete", self.ledger.predictions(self.look))
        if self.interrupts.signum is not None:
            raise Stopped(self.interrupts.signum, result=result)
        return result

    def look(self) -> Predictions:
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
            return images.found(len(self.ledger.history))

    def pause(self, rows: int) -> int:
        """Between two chunks: save if it is time.

        Returns how many rows come next; this process would do `rows`.

        Raises Stopped, having saved, if a signal came, to whichever process.
        """
        said = self.cluster.all_gather([self.interrupts.signum or 0, rows, self.ledger.due])
        signum, (_, rows, due) = max(numbers[0] for numbers in said), said[0]
        if signum or due:
            self.ledger.save(self.state)
        if signum:
            raise Stopped(signum)
        return rows

    def epoch(self) -> None:
        """Train and evaluate one epoch, or the rest of one, and save it."""
        ledger, number = self.ledger, len(self.ledger.history)
        self.train(number)
        both = self.config.train_evaluation == "every" or number + 1 == self.config.epochs
        train = self.evaluate("train", "training images") if both else None
        test = self.evaluate("test", "test images")
        self.progress.end()
        final = (number + 1) * self.steps.steps_per_epoch - 1
        rate = float(jnp.asarray(self.steps.rate(final)))
        skipped = int(self.state.scale.skipped) if self.state.scale else None
        ledger.enter(
            epoch_metrics(
                self.task, number + 1, rate, ledger.clock, self.state.totals, train, test, skipped
            )
        )
        self.state = self.state._replace(totals=self.steps.zero())
        ledger.save(self.state)
        ledger.record("running")
        last = ledger.history[-1]
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
        """Some more steps of an epoch; returns how many are done."""
        steps, pace = self.steps.steps_per_epoch, self.paces["train"]
        first = int(self.state.step) == 0
        # The first step alone, so that its cost can be told.
        rows = self.pause(1 if first else pace.rows(steps - done))
        begin = time.perf_counter()
        with self.reading(f"epoch {number + 1}"):
            self.state = self.steps.train(self.state, key, batches, done + rows)
        self.interrupts.wait(partial(jax.block_until_ready, self.state))
        self.note("train_seconds", pace, rows, begin)
        totals = self.state.totals
        self.check(totals, f"epoch {number + 1}, step {int(totals.bad_batch) + 1} of {steps}")
        if first:
            counts = (by_block(totals, name) for name in ("nfe", "accepted", "rejected"))
            self.progress.say(first_step_line(float(totals.loss) / int(totals.images), *counts))
        self.progress.advance(rows, loss=f"{float(totals.loss) / int(totals.images):.3f}")
        return done + rows

    def evaluate(self, split: str, name: str) -> Evaluated:
        """Sums over all batches of a split with the present parameters."""
        found, pace, done = self.steps.empty_metrics(), self.paces["evaluation"], 0
        where = f"evaluation of the {name} after epoch {len(self.ledger.history) + 1}"
        with closing(self.steps.feed.evaluation(split)) as batches:
            self.progress.begin(name, batches.count)
            while done < batches.count:
                rows = self.pause(pace.rows(batches.count - done))
                begin = time.perf_counter()
                with self.reading(where):
                    found = self.steps.evaluate(self.state.learned, found, batches, done + rows)
                self.interrupts.wait(partial(jax.block_until_ready, found))
                self.note("eval_seconds", pace, rows, begin)
                bad = f"batch {int(found.totals.bad_batch) + 1} of {batches.count}"
                self.check(found.totals, f"{where}, {bad}")
                done += rows
                self.progress.advance(rows)
        return found

    @contextmanager
    def reading(self, where: str) -> Iterator[None]:
        """Context in which a stream that is not as announced fails the run."""
        try:
            yield
        except DataError as error:
            raise RunFailed(f"{where}: {error}") from error

    def note(self, name: str, pace: Pace, rows: int, begin: float) -> None:
        """Book the time since `begin`."""
        seconds = time.perf_counter() - begin
        self.ledger.clock[name] += seconds
        pace.measured(rows, seconds)

    def check(self, totals: Totals, where: str) -> None:
        """Raise RunFailed if something in the pass went wrong."""
        if int(totals.bad_batch) < 0:
            return
        if int(totals.failure) > 0:
            raise RunFailed(f"{where}: {explain_failure(int(totals.failure))}")
        if int(totals.broken) == SCALE_TOO_SMALL:
            raise RunFailed(
                f"{where}: the gradient in float16 is not finite (NaN or infinity) however little"
                " the loss is scaled; use precision bfloat16, or a smaller lr"
            )
        what = (
            "the loss is"
            if int(totals.broken) == LOSS_NOT_FINITE
            else "the update made a parameter"
        )
        hint = "a smaller lr may help"
        if self.config.model.ode_blocks and self.config.solve.gradient_facts.backward_solve:
            hint += (
                "; or the backsolve ran out of steps: raise max_steps or loosen backward_rtol and"
                " backward_atol"
            )
        raise RunFailed(f"{where}: {what} not finite (NaN or infinity); {hint}")
