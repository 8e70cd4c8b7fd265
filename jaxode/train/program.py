"""The compiled program of a run: its data on the device, and its two loops compiled ahead of time."""

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
from jaxode.data import ImageSet, view_shape, views
from jaxode.data.batches import epoch_order, sequential_order
from jaxode.nn import build_classifier
from jaxode.nn.kernels import kernels_name
from jaxode.optim import learning_rate, optimizer
from jaxode.train.parallel import Spread
from jaxode.train.state import Learned, Totals, TrainState, initial_state, split_model
from jaxode.train.step import (
    Evaluated,
    Pictures,
    Table,
    evaluation_chunk,
    row_outcomes,
    train_chunk,
)
from jaxode.train.tally import Split

Builder = Callable[..., nnx.Module]
"""A function with the arguments of `jaxode.nn.build_classifier`; tests put a stub in its place."""

MOST_STEPS = 2**31 - 1
"""Of a run; the step's number is a 32-bit integer of the state."""


@dataclass(frozen=True)
class Span:
    """Rows of the evaluation table that hold one part of the images."""

    start: int
    stop: int

    @property
    def batches(self) -> int:
        """How many rows."""
        return self.stop - self.start


class Program:
    """Data, initial state and compiled loops of a run.

    Args:
        config: the settings.
        data: images and labels as `jaxode.data.load` returns them.
        build: what makes the model.

    Raises:
        ConfigError: settings that cannot be run with these images or on these devices.
    """

    def __init__(
        self, config: RunConfig, data: ImageSet, build: Builder = build_classifier
    ) -> None:
        self.config, self.spread = config, Spread(config.parallel)
        shares = self.spread.count * config.parallel.accumulate
        allowed = (
            f"a multiple of devices x accumulate = {self.spread.count} x"
            f" {config.parallel.accumulate}"
        )
        require(config.batch_size % shares == 0, "batch_size", config.batch_size, allowed)
        self.split = Split(config.parallel.accumulate, self.spread.across)
        self.train_count, self.test_count = len(data.train_labels), len(data.test_labels)
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
            image_shape=view_shape(config, data.spec),
            classes=data.spec.classes,
            rngs=nnx.Rngs(model_key),
            dtype=self.dtype,
            precision=config.precision,
            kernels=config.kernels,
        )
        self.graphdef, self.learned = split_model(model)
        self.classes = data.spec.classes
        self.parameters = sum(leaf.size for leaf in jax.tree.leaves(self.learned.params))
        self.blocks = config.model.ode_blocks
        self.transform = optimizer(config.optim, self.total_steps)
        self.rate = learning_rate(config.optim, self.total_steps)
        self.views = views(config, data.spec)
        # One array of images and one table of batches for both parts, so that one compilation
        # serves both.
        images = np.concatenate([data.train_images, data.test_images])
        labels = np.concatenate([data.train_labels, data.test_labels])
        train = Table(*sequential_order(self.train_count, config.batch_size))
        test = Table(*sequential_order(self.test_count, config.batch_size))
        table = Table(
            jnp.concatenate([train.indices, test.indices + self.train_count]),
            jnp.concatenate([train.weights, test.weights]),
        )
        self.pictures, self.table = (
            Pictures(*self.spread.place((images, labels))),
            self.spread.place(table),
        )
        self.train_span = Span(0, self.steps_per_epoch)
        self.test_span = Span(self.steps_per_epoch, len(self.table.indices))
        self._epoch = jax.jit(self._draw, out_shardings=self.spread.everywhere)

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

    def unseen(self) -> Evaluated:
        """An evaluation of no batches."""
        nothing = jnp.zeros((self.classes, self.classes), jnp.int32)
        return self.spread.place(Evaluated(Totals.zero(self.blocks, self.dtype), nothing))

    def epoch(self, number: int) -> tuple[PRNGKeyArray, Table]:
        """The key of epoch `number` (from 0), from which its steps draw, and its order of the
        images.
        """
        return self._epoch(np.int32(number))

    def _draw(self, number: Int[Array, ""]) -> tuple[PRNGKeyArray, Table]:
        key = jax.random.fold_in(self.run_key, number)
        # Steps fold in 0, 1, ... below steps_per_epoch, so that number is free for the order.
        order = jax.random.fold_in(key, self.steps_per_epoch)
        return key, Table(*epoch_order(order, self.train_count, self.config.batch_size))

    def compile(
        self, state: TrainState, wait: Callable[[Callable[[], Any]], Any] = lambda work: work()
    ) -> float:
        """Compile both loops for states like this one; returns the seconds it took.

        `wait` runs XLA's part.
        """
        begin = time.perf_counter()
        key, table = self.epoch(0)
        row = np.int32(0)
        train = partial(train_chunk, self.graphdef, self.transform, self.views, self.split)
        evaluate = partial(evaluation_chunk, self.graphdef, self.views, self.split)
        train = self._traced(train, state, self.pictures, table, key, row, donate_argnums=0)
        evaluate = self._traced(
            evaluate, state.learned, self.unseen(), self.pictures, self.table, row, row
        )
        self.train_loop, self.evaluation_loop = wait(train.compile), wait(evaluate.compile)
        return time.perf_counter() - begin

    def trace_outcomes(self, learned: Learned) -> Any:
        """What `row_outcomes` finds, of a model, images, evaluation table and row, ready to be
        compiled.
        """
        work = partial(row_outcomes, self.graphdef, self.views)
        return self._traced(work, learned, self.pictures, self.table, np.int32(0))

    def _traced(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        # Convolutions say their own precision; everything else, in libraries too, a GPU would
        # multiply in TF32.
        with jax.default_matmul_precision("highest"), self.spread.on_mesh():
            return self.spread.compiled(function, **options).lower(*arguments)

    def train(self, state: TrainState, key: PRNGKeyArray, table: Table, stop: int) -> TrainState:
        """Begin the steps of one epoch up to before its step `stop`, and take the given state away."""
        return self.train_loop(state, self.pictures, table, key, np.int32(stop))

    def evaluate(self, learned: Learned, evaluated: Evaluated, span: Span, stop: int) -> Evaluated:
        """Begin the evaluation of the span's batches up to before its batch `stop`."""
        start, last = np.int32(span.start), np.int32(span.start + stop)
        return self.evaluation_loop(learned, evaluated, self.pictures, self.table, start, last)
