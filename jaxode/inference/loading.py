"""From a run's directory or a file of weights to a model that can be used."""

from __future__ import annotations

import os
from pathlib import Path
from typing import overload

from flax import nnx

from jaxode.checks import ConfigError, one_line
from jaxode.config import RunConfig
from jaxode.data import DatasetSpec, spec_of, view_shape
from jaxode.data.facts import spec_from_facts
from jaxode.errors import CheckpointError, ResumeError
from jaxode.inference.own_model import TrainedModule, own_run
from jaxode.inference.run_checkpoint import Which, read_checkpoint
from jaxode.inference.trained import TrainedModel
from jaxode.inference.weights import read_about, read_arrays
from jaxode.models import create_model
from jaxode.runs import RunDirectory
from jaxode.runs.run_directory import DATASET
from jaxode.strict_json import need
from jaxode.train.state import Learned, split_model


@overload
def load(source: str | os.PathLike[str], *, checkpoint: Which = "last") -> TrainedModel: ...


@overload
def load(
    source: str | os.PathLike[str], *, checkpoint: Which = "last", model: nnx.Module
) -> TrainedModel | TrainedModule: ...


def load(
    source: str | os.PathLike[str],
    *,
    checkpoint: Which = "last",
    model: nnx.Module | None = None,
) -> TrainedModel | TrainedModule:
    """A trained model with its preprocessing, class names and solve settings.

    Args:
      source: a run's directory, or a file that `jaxode export --format safetensors` wrote.
      checkpoint: of a run: the last one, or that of the epoch with the best monitored metric.
      model: of a run of a model of your own (`jaxode.fit`): a module of the same class and shapes,
        which is left as it is.

    Returns:
      The model. A run of your own model that does not classify images gives a `TrainedModule`,
      whose `predict` takes what the module takes.

    Raises:
      ConfigError: there is no run and no such file, or it cannot be read; or it is of another
        model.

    Example:
      >>> import jaxode
      >>> model = jaxode.load("runs/mnist/odenet-20261127-101500")  # doctest: +SKIP
      >>> print(model.predict(["seven.png", "three.png"]))  # doctest: +SKIP
      seven.png  7  0.9987  26 evaluations
      three.png  3  0.9911  26 evaluations
    """
    path = Path(source)
    if checkpoint not in ("last", "best"):
        raise ConfigError(f"checkpoint must be last or best, got {checkpoint!r}")
    if path.is_dir():
        return _from_run(path, checkpoint) if model is None else own_run(path, checkpoint, model)
    if model is not None:
        raise ConfigError(f"{path} must be a run's directory where a model is given")
    if not path.exists():
        raise ConfigError(f"{path} must be a run's directory or a file of weights: there is none")
    about = read_about(path)
    try:
        config = RunConfig.from_json(need(about, "config", dict, "metadata"))
        spec = spec_from_facts(
            config.data.dataset, need(about, "images", dict, "metadata"), "metadata: images"
        )
    except ValueError as error:
        raise ConfigError(f"{path}: {one_line(error)}") from error
    learned = read_arrays(path, _fresh(config, spec))
    return TrainedModel(config, spec, learned, origin=path, epoch=about.get("epoch"))


def _from_run(path: Path, which: Which) -> TrainedModel:
    try:
        directory = RunDirectory.open(path)
        config, facts = directory.config, directory.dataset_facts
        where = f"{path / DATASET}: "
        spec = (
            spec_of(config.data)  # a run of an earlier version
            if facts is None
            else spec_from_facts(config.data.dataset, facts, where)
        )
        found = read_checkpoint(directory, which, _fresh(config, spec), config.model.ode_blocks)
    except (ResumeError, CheckpointError, ValueError) as error:
        raise ConfigError(one_line(error)) from error
    return TrainedModel(
        config, spec, found.state.learned, origin=path, epoch=len(found.meta["history"])
    )


def _fresh(config: RunConfig, spec: DatasetSpec) -> Learned:
    """Parameters and statistics of the right shapes."""
    model = create_model(
        config.model,
        config.solve,
        image_shape=view_shape(config, spec),
        classes=spec.classes,
        rngs=nnx.Rngs(0),
        dtype=config.dtype,
        precision=config.precision,
    )
    return split_model(model)[1]
