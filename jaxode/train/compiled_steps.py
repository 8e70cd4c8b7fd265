"""The compiled steps of a run: its data on the device, and its two loops compiled ahead of time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Int, PRNGKeyArray

from jaxode.checks import require
from jaxode.config import RunConfig
from jaxode.data import Dataset
from jaxode.data.batches import epoch_order, sequential_order
from jaxode.distributed.mesh import DeviceMesh
from jaxode.models import create_model
from jaxode.nn.kernels import kernels_name
from jaxode.ode import Stats
from jaxode.optim import learning_rate, optimizer
from jaxode.tasks import Batch, Metrics, Task, default_task
from jaxode.train.microbatch import MicroBatches, forward
from jaxode.train.state import Learned, Totals, TrainState, initial_state, split_model
from jaxode.train.step import (
    BatchIndices,
    DeviceDataset,
    Evaluated,
    Work,
    evaluation_chunk,
    predict_batch,
    train_chunk,
)

Builder = Callable[..., nnx.Module]
"""A function with the arguments of `jaxode.models.create_model`; tests put a stub in its place."""

MOST_STEPS = 2**31 - 1
"""Of a run; the step's number is a 32-bit integer of the state."""


@dataclass(frozen=True)
class SplitRange:
    """Rows of the evaluation order that hold one split of the data set."""

    start: int
    stop: int

    @property
    def batches(self) -> int:
        """How many rows."""
        return self.stop - self.start


class CompiledSteps:
    """Data, initial state and compiled loops of a run.

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
        self.task = task or default_task(data)
        train, test = data.splits["train"], data.splits["test"]
        self.train_count, self.test_count = (len(next(iter(s.values()))) for s in (train, test))
        self.steps_per_epoch = -(-self.train_count // config.batch_size)
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
        graphdef, self.learned = split_model(model)
        self.parameters = sum(leaf.size for leaf in jax.tree.leaves(self.learned.params))
        self.transform = optimizer(config.optim, self.total_steps)
        self.rate = learning_rate(config.optim, self.total_steps)
        division = MicroBatches(config.parallel.accumulate, self.spread.across)
        self.work = Work(graphdef, self.task, data.views(config), division)
        # One array for both splits and one order of batches, so that one compilation serves both.
        stored: DeviceDataset = {
            name: np.concatenate([array, test[name]]) for name, array in train.items()
        }
        first = BatchIndices(*sequential_order(self.train_count, config.batch_size))
        last = BatchIndices(*sequential_order(self.test_count, config.batch_size))
        order = BatchIndices(
            jnp.concatenate([first.indices, last.indices + self.train_count]),
            jnp.concatenate([first.weights, last.weights]),
        )
        self.blocks, self._metrics = self._traced_evaluation(stored)
        self.dataset, self.order = self.spread.place(stored), self.spread.place(order)
        self.train_range = SplitRange(0, self.steps_per_epoch)
        self.test_range = SplitRange(self.steps_per_epoch, len(self.order.indices))
        self._epoch = jax.jit(self._draw, out_shardings=self.spread.everywhere)

    def _traced_evaluation(self, stored: DeviceDataset) -> tuple[int, Any]:
        """How many ODE blocks the model solves, and the shapes of the task's metrics."""
        rows = self.config.batch_size
        batch = {
            name: jax.ShapeDtypeStruct((rows, *array.shape[1:]), array.dtype)
            for name, array in stored.items()
        }
        weight = jax.ShapeDtypeStruct((rows,), self.dtype)

        def evaluate(learned: Learned, batch: Batch) -> tuple[Stats, Metrics]:
            batch, total = self.work.views.evaluation(batch), jnp.sum(batch["weight"])
            found = forward(self.work.graphdef, learned, self.task, batch, total)
            return found.stats, self.task.metrics(found.outputs, batch)

        with jax.default_matmul_precision("highest"):
            stats, metrics = jax.eval_shape(evaluate, self.learned, {**batch, "weight": weight})
        return stats.nfe.shape[0], metrics

    def first_state(self) -> TrainState:
        """State before the first step.

        It takes the initial parameters away, for they are donated to training.
        """
        state = initial_state(self.learned, self.transform, self.blocks, self.config.precision)
        del self.learned
        return self.spread.place(state)

    def zero(self) -> Totals:
        """Totals of no batches."""
        return self.spread.place(Totals.zero(self.blocks, self.dtype))

    def empty_metrics(self) -> Evaluated:
        """An evaluation of no batches."""
        metrics = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), self._metrics)
        return self.spread.place(Evaluated(Totals.zero(self.blocks, self.dtype), metrics))

    def epoch(self, number: int) -> tuple[PRNGKeyArray, BatchIndices]:
        """The key of epoch `number` (from 0), from which its steps draw, and its order."""
        return self._epoch(np.int32(number))

    def _draw(self, number: Int[Array, ""]) -> tuple[PRNGKeyArray, BatchIndices]:
        key = jax.random.fold_in(self.run_key, number)
        # Steps fold in 0, 1, ... below steps_per_epoch, so that number is free for the order.
        order = jax.random.fold_in(key, self.steps_per_epoch)
        return key, BatchIndices(*epoch_order(order, self.train_count, self.config.batch_size))

    def compile(
        self, state: TrainState, wait: Callable[[Callable[[], Any]], Any] = lambda work: work()
    ) -> float:
        """Compile both loops for states like this one; returns the seconds it took.

        `wait` runs XLA's part.
        """
        begin = time.perf_counter()
        key, order = self.epoch(0)
        row = np.int32(0)
        train = partial(train_chunk, self.work, self.transform)
        evaluate = partial(evaluation_chunk, self.work)
        train = self._traced(train, state, self.dataset, order, key, row, donate_argnums=0)
        evaluate = self._traced(
            evaluate, state.learned, self.empty_metrics(), self.dataset, self.order, row, row
        )
        self.train_loop, self.evaluation_loop = wait(train.compile), wait(evaluate.compile)
        return time.perf_counter() - begin

    def trace_predictions(self, learned: Learned) -> Any:
        """`predict_batch` of a model, data set, order and row, ready to be compiled."""
        work = partial(predict_batch, self.work)
        return self._traced(work, learned, self.dataset, self.order, np.int32(0))

    def _traced(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        # Convolutions say their own precision; everything else, in libraries too, a GPU would
        # multiply in TF32.
        with jax.default_matmul_precision("highest"), self.spread.on_mesh():
            return self.spread.compiled(function, **options).lower(*arguments)

    def train(
        self, state: TrainState, key: PRNGKeyArray, order: BatchIndices, stop: int
    ) -> TrainState:
        """Begin the steps of an epoch up to before its step `stop`; the given state is donated."""
        return self.train_loop(state, self.dataset, order, key, np.int32(stop))

    def evaluate(
        self, learned: Learned, evaluated: Evaluated, split: SplitRange, stop: int
    ) -> Evaluated:
        """Begin the evaluation of a split's batches up to before its batch `stop`."""
        start, last = np.int32(split.start), np.int32(split.start + stop)
        return self.evaluation_loop(learned, evaluated, self.dataset, self.order, start, last)
