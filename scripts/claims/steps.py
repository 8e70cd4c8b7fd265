"""A training step's loss and gradient as a compiled program, and its planned memory."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from jaxode.config import ModelConfig, SolveConfig
from jaxode.models import create_model
from jaxode.train.objective import mean_cross_entropy
from jaxode.types import Images, Labels, Params
from scripts.claims.subject import ONCE

SHAPE, CLASSES = (28, 28, 1), 10
"""Of MNIST."""

MB = 1e6


class Plan(NamedTuple):
    """Bytes that the program needs at one time, arguments and results included."""

    temporary: int
    arguments: int
    outputs: int


def model_of(model: ModelConfig, solve: SolveConfig) -> Any:
    """A classifier of grey 28 x 28 images with fresh parameters."""
    return create_model(model, solve, image_shape=SHAPE, classes=CLASSES, rngs=nnx.Rngs(0))


def step(graph: Any, params: Params, images: Images, labels: Labels) -> tuple[jax.Array, Params]:
    """Mean cross-entropy and its gradient."""
    slope = jax.value_and_grad(mean_cross_entropy, argnums=1, has_aux=True)
    (loss, _), gradient = slope(graph, params, images, labels)
    return loss, gradient


def planned(model: ModelConfig, solve: SolveConfig, batch: int) -> Plan:
    """Memory of the compiled step; nothing is computed and no array allocated."""
    graph, params = nnx.split(nnx.eval_shape(lambda: model_of(model, solve)), nnx.Param)
    images, labels = (
        jax.ShapeDtypeStruct((batch, *SHAPE), jnp.float32),
        jax.ShapeDtypeStruct((batch,), jnp.int32),
    )
    lowered = jax.jit(lambda *given: step(graph, *given)).lower(params, images, labels)
    program = lowered.compile(
        compiler_options=ONCE
    )  # buffers are laid out before machine code is made
    memory: Any = program.memory_analysis()
    return Plan(
        memory.temp_size_in_bytes, memory.argument_size_in_bytes, memory.output_size_in_bytes
    )
