"""The run of a model whose own settings stand in a file beside the run's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import jax
from flax import nnx

from jaxode.checks import ConfigError, one_line
from jaxode.config import SolveConfig
from jaxode.inference.own_model import TrainedModule, module_of
from jaxode.inference.run_checkpoint import Which, run_of
from jaxode.models.multiply_adds import QUICK
from jaxode.runs import read_config
from jaxode.strict_json import read_object

Sizes = TypeVar("Sizes")
"""A model's own settings, a dataclass."""


class RecordedRun(NamedTuple, Generic[Sizes]):
    """What a run holds of its model.

    Args:
      directory: of the run.
      sizes: the model's own settings.
      trained: the model with its parameters.
    """

    directory: Path
    sizes: Sizes
    trained: TrainedModule


def recorded_run(
    path: Path,
    which: Which,
    file: str,
    read: Callable[[dict[str, Any]], Sizes],
    create: Callable[[Sizes, SolveConfig, nnx.Rngs], nnx.Module],
) -> RecordedRun[Sizes]:
    """The model of a run that has recorded its settings.

    Args:
      path: the run's directory, or that of one of its checkpoints.
      which: last or best checkpoint.
      file: name of the file with the model's settings.
      read: makes them of the file's values.
      create: makes the model of them, the settings of its solves and keys.

    Raises:
      ConfigError: the run cannot be read, or its files are damaged.
    """
    run = run_of(path)[0]
    try:
        sizes = read(read_object(run / file))
        kind = type(nnx.eval_shape(lambda: create(sizes, SolveConfig(), nnx.Rngs(0))))
        solve = read_config(run, kind).solve
    except (OSError, ValueError) as error:
        raise ConfigError(one_line(error)) from error
    model = in_one_program(lambda: create(sizes, solve, nnx.Rngs(0)))
    return RecordedRun(run, sizes, module_of(path, which, model))


def in_one_program(create: Callable[[], nnx.Module]) -> nnx.Module:
    """A module whose initial numbers one compiled program draws, not one for each shape."""
    graph = nnx.split(nnx.eval_shape(create))[0]
    draw = jax.jit(lambda: nnx.split(create())[1]).lower().compile(compiler_options=QUICK)
    return nnx.merge(graph, draw())
