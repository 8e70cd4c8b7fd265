"""What --describe prints of a model that an experiment builds."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
from flax import nnx
from jaxtyping import Array, PyTree

from jaxode.config import KernelsName
from jaxode.models import multiply_adds, parameter_count
from jaxode.models.multiply_adds import QUICK


def description(
    sizes: Any, build: Callable[[KernelsName], nnx.Module], inputs: PyTree
) -> dict[str, Any]:
    """Settings of a model, its parameters, the multiply-adds of an image, and shapes, as JSON.

    The evaluations of its solves, if it has some, are those of the initial parameters for the given
    inputs.

    Args:
      sizes: the model's own settings, a dataclass.
      build: makes the model with kernels of that name.
      inputs: of one image.

    Raises:
      ConfigError: a model that cannot be built.
    """
    plain = nnx.eval_shape(lambda: build("plain"))
    counts = multiply_adds(plain, inputs)
    work: dict[str, Any] = {"outside_fields": counts.outside}
    evaluations: list[int] = []
    if counts.evaluation:
        evaluations = evaluations_of(lambda: build("auto"), inputs)
        work |= {"of_an_evaluation": list(counts.evaluation), "evaluations": evaluations}
    state = nnx.state(plain, (nnx.Param, nnx.BatchStat))
    return {
        **dataclasses.asdict(sizes),
        "parameters": parameter_count(plain),
        "multiply_adds": {**work, "total": counts.total(evaluations)},
        "parameter_shapes": {
            ".".join(map(str, path)): list(value.shape)
            for path, value in nnx.to_flat_state(state)
            if isinstance(value, nnx.Param)
        },
    }


def evaluations_of(build: Callable[[], nnx.Module], inputs: PyTree) -> list[int]:
    """Evaluations of the field of each of a model's ODE blocks; the largest of a batch's own.

    Args:
      build: makes a model with initial parameters, which returns its outputs and the statistics of
        its solves.
      inputs: of its call.
    """

    def solve(inputs: PyTree) -> Array:
        # The counts alone, so that nothing behind the solves is compiled, and the drawing of the
        # parameters with them: array by array it takes a program for each shape.
        built: Any = build()
        return built(inputs)[1].nfe

    counts = jax.jit(solve).lower(inputs).compile(compiler_options=QUICK)(inputs)
    return counts.reshape(len(counts), -1).max(1).tolist()
