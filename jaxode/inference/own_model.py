"""The run of a model of your own: its weights in an object that you pass once more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx
from jaxtyping import Int, PyTree

from jaxode.checks import ConfigError, one_line, require_count
from jaxode.config import RunConfig
from jaxode.data.facts import spec_from_facts
from jaxode.errors import CheckpointError, ResumeError
from jaxode.inference.run_checkpoint import Which, read_checkpoint, run_of
from jaxode.inference.trained import TrainedModel
from jaxode.ode import Stats
from jaxode.runs import RunDirectory
from jaxode.runs.run_directory import DATASET
from jaxode.tasks import Classification
from jaxode.tasks.base import call_model
from jaxode.train.state import Learned, split_model


class TrainedModule:
    """A trained model of your own, of any task.

    Args:
      config: settings of the run that trained it.
      module: a model with its structure.
      learned: parameters and batch-norm statistics.
      origin: the run's directory.
      epoch: how many epochs it was trained for.

    Example:
      >>> import jaxode
      >>> found = jaxode.load("runs/mine", model=MyModel())  # doctest: +SKIP
      >>> found.predict(inputs).shape  # doctest: +SKIP
      (100, 2)
    """

    def __init__(
        self, config: RunConfig, module: nnx.Module, learned: Learned, origin: Path, epoch: int
    ) -> None:
        self.config, self.learned, self.origin, self.epoch = config, learned, origin, epoch
        self.graphdef = split_model(nnx.clone(module))[0]
        self._outputs = jax.jit(self._of_batch)

    @property
    def model(self) -> nnx.Module:
        """The module with the trained weights."""
        return nnx.merge(self.graphdef, *self.learned)

    def _of_batch(self, learned: Learned, inputs: PyTree) -> PyTree:
        with jax.default_matmul_precision("highest"):
            outputs: Any = call_model(nnx.merge(self.graphdef, *learned, copy=True), inputs, {})
        solved = isinstance(outputs, tuple) and len(outputs) == 2 and isinstance(outputs[1], Stats)
        return outputs if solved else (outputs, None)

    def predict(self, inputs: PyTree, *, batch_size: int = 128) -> PyTree:
        """The model's outputs in evaluation, as NumPy arrays.

        Args:
          inputs: the model's first argument, arrays [N, ...]; not transformed.
          batch_size: examples that are computed together.

        Raises:
          ConfigError: inputs without examples, or of unequal numbers.
          SolveError: a solve failed whose statistics the model returns.
        """
        return self.predict_with_stats(inputs, batch_size=batch_size)[0]

    def predict_with_stats(
        self, inputs: PyTree, *, batch_size: int = 128
    ) -> tuple[PyTree, Int[np.ndarray, " N"] | None]:
        """The outputs of `predict`, and the function evaluations of all solves for each example.

        Where a batch is solved with one step size, each of its examples has the batch's. None for a
        model that solves nothing, or returns no statistics.

        Args:
          inputs: as of `predict`.
          batch_size: likewise.
        """
        require_count("batch_size", batch_size)
        lengths = {len(leaf) for leaf in jax.tree.leaves(inputs)}
        if len(lengths) != 1 or lengths == {0}:
            raise ConfigError(f"inputs must be arrays of one length of at least 1, got {lengths}")
        (count,), parts, counts = lengths, [], []
        for begin in range(0, count, batch_size):
            rows = slice(begin, begin + batch_size)
            part = jax.tree.map(lambda leaf, rows=rows: np.asarray(leaf)[rows], inputs)
            outputs, stats = jax.device_get(self._outputs(self.learned, part))
            if stats is not None:
                stats.check()
                if len(stats.nfe):
                    size = min(batch_size, count - begin)
                    counts.append(np.broadcast_to(np.asarray(stats.nfe).sum(0), (size,)))
            parts.append(outputs)
        joined = jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)
        return joined, np.concatenate(counts) if counts else None

    def __repr__(self) -> str:
        name = self.config.model.name
        return f"<{name} after {self.epoch} epochs from {self.origin}>"


def own_run(path: Path, which: Which, model: nnx.Module) -> TrainedModel | TrainedModule:
    """The run of a model of your own.

    Args:
      path: the run's directory, or that of one of its checkpoints.
      which: last or best checkpoint.
      model: a module of the class and shapes of the one that was trained.

    Returns:
      A `TrainedModel` of a classifier of images, else a `TrainedModule`.

    Raises:
      ConfigError: there is no run, or it is of another model.
    """
    found = module_of(path, which, model)
    place = run_of(path)[0]
    try:
        directory = RunDirectory(place, type(model))
        facts = directory.dataset_facts
        if facts is None or directory.result.get("task") != Classification.name:
            return found
        spec = spec_from_facts(found.config.data.dataset, facts, f"{place / DATASET}: ")
    except (ResumeError, ValueError) as error:
        raise ConfigError(one_line(error)) from error
    module = nnx.clone(model)
    return TrainedModel(
        found.config, spec, found.learned, origin=place, epoch=found.epoch, module=module
    )


def module_of(path: Path, which: Which, model: nnx.Module) -> TrainedModule:
    """The run of a model that is no registered one, of any task; as `own_run`."""
    path, name = run_of(path)
    module = nnx.clone(model)
    learned = split_model(nnx.clone(model))[1]
    try:
        directory = RunDirectory.open(path, type(model))
        config = directory.config
        if not directory.history:
            raise ConfigError(f"{path} must have a finished epoch to be loaded, and has none")
        blocks = len(directory.history[-1]["nfe_per_block"] or ())
        regularised = "penalty" in directory.history[-1]
        found = read_checkpoint(directory, name or which, learned, blocks, regularised=regularised)
        shapes = [jax.tree.map(np.shape, each) for each in (found.state.learned, learned)]
        if shapes[0] != shapes[1]:
            raise ConfigError(f"model must have the shapes of the one in {path}, and has others")
    except (ResumeError, CheckpointError, ValueError) as error:
        raise ConfigError(one_line(error)) from error
    return TrainedModule(config, module, found.state.learned, path, len(found.meta["history"]))
