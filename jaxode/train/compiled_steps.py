"""The compiled steps of a run: its two loops compiled ahead of time, and the feed of batches."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Int, PRNGKeyArray

from jaxode.checks import one_line, require
from jaxode.config import RunConfig
from jaxode.data import Dataset
from jaxode.data.base import VALIDATION
from jaxode.distributed.mesh import DeviceMesh
from jaxode.models import create_model
from jaxode.nn.kernels import kernels_name
from jaxode.nn.regularisation import regularised_modules
from jaxode.nn.solve_stats import backward_solves, zero_costs
from jaxode.ode import BackwardCost, Stats
from jaxode.optim import learning_rate, optimizer
from jaxode.tasks import Batch, Metrics, Task, default_task
from jaxode.train.feed_choice import choose_feed
from jaxode.train.feeds import Pass
from jaxode.train.microbatch import MicroBatches, forward
from jaxode.train.state import Learned, Totals, TrainState, initial_state, split_model, zeros
from jaxode.train.step import (
    Evaluated,
    Work,
    evaluation_chunk,
    predict_batch,
    train_chunk,
)
from jaxode.train.step_log import StepLog

logger = logging.getLogger(__name__)

Builder = Callable[..., nnx.Module]
"""A function with the arguments of `jaxode.models.create_model`; tests put a stub in its place."""

MOST_STEPS = 2**31 - 1
"""Of a run; the step's number is a 32-bit integer of the state."""


class CompiledSteps:
    """Feed, initial state and compiled loops of a run.

    Args:
        config: the settings.
        data: what is trained on: as `jaxode.data.load` returns it, or your own.
        build: what makes the model.
        task: what is learned; classification by default.

    Raises:
        ConfigError: settings that cannot be run with these images or on these devices.
    """

    def __init__(
        self,
        config: RunConfig,
        data: Dataset,
        build: Builder = create_model,
        task: Task | None = None,
    ) -> None:
        self.config, self.spread = config, DeviceMesh(config.parallel)
        shares = self.spread.count * config.parallel.accumulate
        allowed = (
            f"a multiple of devices x accumulate = {self.spread.count} x"
            f" {config.parallel.accumulate}"
        )
        require(config.batch_size % shares == 0, "batch_size", config.batch_size, allowed)
        size = config.evaluation_batch
        require(size % shares == 0, "eval_batch_size", size, allowed)
        self.task = task or default_task(data)
        self.feed = choose_feed(config, data, self.spread)
        held = VALIDATION in self.feed.counts
        require(
            held or not self.task.monitor.startswith(f"{VALIDATION}_"),
            "monitor",
            self.task.monitor,
            "of the test or training split, for the data have no validation split",
        )
        self.train_count, self.test_count = self.feed.counts["train"], self.feed.counts["test"]
        self.steps_per_epoch = self.feed.steps_per_epoch
        self.total_steps = config.epochs * self.steps_per_epoch
        most = MOST_STEPS // self.steps_per_epoch
        require(
            config.epochs <= most,
            "epochs",
            config.epochs,
            f"at most {most}, for steps are counted in 32 bits",
        )
        self.dtype = jnp.dtype(config.dtype)
        self.kernels = kernels_name(config.kernels, config.precision)
        model_key, self.run_key = jax.random.split(jax.random.key(config.seed))
        model = build(
            config.model,
            config.solve,
            **data.model_options(config),
            rngs=nnx.Rngs(model_key),
            dtype=self.dtype,
            precision=config.precision,
            kernels=config.kernels,
        )
        self.regularised = bool(regularised_modules(model))
        self.backward = len(backward_solves(model))
        graphdef, self.learned = split_model(model)
        self.parameters = sum(leaf.size for leaf in jax.tree.leaves(self.learned.params))
        optim, lengths = config.scaled_optim, (self.total_steps, self.steps_per_epoch)
        self.transform = optimizer(optim, *lengths)
        self.rate = learning_rate(optim, *lengths)
        division = MicroBatches(config.parallel.accumulate, self.spread.across)
        self.work = Work(graphdef, self.task, data.views(config), division)
        self.blocks, self._metrics = self._traced_model()
        self._key = jax.jit(self._fold, out_shardings=self.spread.everywhere)

    def _traced_model(self) -> tuple[int, Any]:
        """How many ODE blocks the model solves, and the shapes of the task's metrics.

        Its backward solves are counted if it can be called with variables for their costs.
        """
        if not self.backward:
            return self._traced_evaluation(None)
        model = nnx.merge(self.work.graphdef, *self.learned)
        costs = zero_costs(model, self.config.evaluation_batch, self.dtype)
        try:
            return self._traced_evaluation(costs)
        except Exception as error:  # a transformation of a user's model that has no room for them
            found = self._traced_evaluation(None)
            logger.warning("the backward solves of this model are not counted: %s", one_line(error))
            self.backward = 0
            return found

    def _traced_evaluation(self, costs: list[BackwardCost] | None) -> tuple[int, Any]:
        weight = jax.ShapeDtypeStruct((self.config.evaluation_batch,), self.dtype)

        def evaluate(learned: Learned, batch: Batch) -> tuple[Stats, Metrics]:
            batch, total = self.work.views.evaluation(batch), jnp.sum(batch["weight"])
            found = forward(self.work.graphdef, learned, self.task, batch, total, costs=costs)
            return found.stats, self.task.metrics(found.outputs, batch)

        with jax.default_matmul_precision("highest"):
            batch = {**self.feed.shapes, "weight": weight}
            stats, metrics = jax.eval_shape(evaluate, self.learned, batch)
        return stats.nfe.shape[0], metrics

    def rates_of_epochs(self) -> list[tuple[float, float]]:
        """The learning rates of the first and the last step of each epoch."""
        count = self.steps_per_epoch
        first = np.arange(self.config.epochs) * count
        rates = jax.vmap(lambda step: jnp.asarray(self.rate(step)))
        ends = jax.device_get([rates(jnp.asarray(first)), rates(jnp.asarray(first + count - 1))])
        return [(float(begin), float(end)) for begin, end in zip(*ends, strict=True)]

    def first_state(self) -> TrainState:
        """State before the first step.

        It takes the initial parameters away, for they are donated to training.
        """
        state = initial_state(
            self.learned,
            self.transform,
            self.blocks,
            self.config.precision,
            regularised=self.regularised,
            backward=self.backward,
        )
        del self.learned
        return self.spread.place(state)

    def _empty_log(self) -> StepLog:
        rest = (self.blocks, self.dtype, self.backward)
        return self.spread.place(StepLog.empty(self.steps_per_epoch, *rest))

    def zero(self) -> Totals:
        """Totals of no training steps."""
        kinds = {"regularised": self.regularised, "backward": self.backward}
        empty = Totals.zero(self.blocks, self.dtype, **kinds)
        return self.spread.place(empty)

    def empty_metrics(self) -> Evaluated:
        """An evaluation of no batches."""
        metrics = jax.tree.map(lambda leaf: zeros(*leaf.shape, dtype=leaf.dtype), self._metrics)
        return self.spread.place(Evaluated(Totals.zero(self.blocks, self.dtype), metrics))

    def epoch(self, number: int, start: int = 0) -> tuple[PRNGKeyArray, Pass]:
        """The key of epoch `number` (from 0), from which its steps draw, and its batches.

        The batches before `start` are done. Close the pass.
        """
        key = self._key(np.int32(number))
        return key, self.feed.training(key, number, start)

    def _fold(self, number: Int[Array, ""]) -> PRNGKeyArray:
        return jax.random.fold_in(self.run_key, number)

    def compile(
        self, state: TrainState, wait: Callable[[Callable[[], Any]], Any] = lambda work: work()
    ) -> float:
        """Compile both loops for states like this one; returns the seconds it took.

        `wait` runs XLA's part.
        """
        begin = time.perf_counter()
        key, row, (epoch, split) = self._key(np.int32(0)), np.int32(0), self.feed.examples()
        train = partial(train_chunk, self.work, self.transform)
        evaluate = partial(evaluation_chunk, self.work)
        self.log = self._empty_log()
        train = self._traced(train, state, self.log, epoch, key, row, donate_argnums=(0, 1))
        empty = self.empty_metrics()
        evaluate = self._traced(evaluate, state.learned, empty, split, row, row)
        self.train_loop, self.evaluation_loop = wait(train.compile), wait(evaluate.compile)
        return time.perf_counter() - begin

    def trace_predictions(self, learned: Learned) -> Any:
        """`predict_batch` of a model, batches and a batch's number, ready to be compiled."""
        work = partial(predict_batch, self.work)
        return self._traced(work, learned, self.feed.examples()[1], np.int32(0))

    def _traced(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        # Convolutions say their own precision; everything else, in libraries too, a GPU would
        # multiply in TF32.
        with jax.default_matmul_precision("highest"), self.spread.on_mesh():
            return self.spread.compiled(function, **options).lower(*arguments)

    def train(self, state: TrainState, key: PRNGKeyArray, batches: Pass, stop: int) -> TrainState:
        """Begin the steps of an epoch up to before its step `stop`; the given state is donated.

        What each step came to stands in `log`, until the same step of another epoch.

        Raises DataError if the batches of a stream are not as announced.
        """
        for call in batches.upto(stop):
            end = np.int32(call.stop)
            state, self.log = self.train_loop(state, self.log, call.batches, key, end)
        return state

    def evaluate(
        self, learned: Learned, evaluated: Evaluated, batches: Pass, stop: int
    ) -> Evaluated:
        """Begin the evaluation of a split's batches up to before its batch `stop`.

        Raises DataError if the batches of a stream are not as announced.
        """
        for call in batches.upto(stop):
            numbers = np.int32(call.offset), np.int32(call.stop)
            evaluated = self.evaluation_loop(learned, evaluated, call.batches, *numbers)
        return evaluated
