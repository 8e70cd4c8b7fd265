"""From a run's directory or a file of weights to a model that can be used."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, overload

import numpy as np
from flax import nnx

from jaxode.checks import ConfigError, one_line
from jaxode.config import RunConfig
from jaxode.data import DatasetSpec, spec_of, view_shape
from jaxode.data.facts import spec_from_facts
from jaxode.errors import CheckpointError, ResumeError
from jaxode.inference.base import Trained
from jaxode.inference.conversion import convert_weights
from jaxode.inference.own_model import TrainedModule, own_run
from jaxode.inference.recorded_models import loader_of
from jaxode.inference.run_checkpoint import Which, read_checkpoint, run_of
from jaxode.inference.trained import TrainedModel, precision_of
from jaxode.inference.weights import learned_of, read_about
from jaxode.interop import InteropError, WeightFile, from_torch, read_weight_file
from jaxode.models import create_model
from jaxode.nn.regularisation import regularised_modules
from jaxode.runs import RunDirectory
from jaxode.runs.run_directory import DATASET
from jaxode.strict_json import need
from jaxode.train.state import Learned, split_model

logger = logging.getLogger(__name__)


@overload
def load(source: str | os.PathLike[str], *, checkpoint: Which = "last") -> Trained: ...


@overload
def load(
    source: str | os.PathLike[str], *, checkpoint: Which = "last", model: nnx.Module
) -> TrainedModel | TrainedModule: ...


def load(
    source: str | os.PathLike[str],
    *,
    checkpoint: Which = "last",
    model: nnx.Module | None = None,
) -> Trained | TrainedModule:
    """A trained model with its preprocessing, class names and solve settings.

    Args:
      source: a run's directory, the directory of one of its checkpoints, or a file of weights: one
        that `jaxode export` or `jaxode convert` wrote, or a checkpoint of torchdiffeq's
        `odenet_mnist.py`, for which PyTorch need not be installed.
      checkpoint: of a run: the last one, or that of the epoch with the best monitored metric.
      model: of a run of a model of your own (`jaxode.fit`): a module of the same class and shapes,
        which is left as it is.

    Returns:
      The model: a `TrainedModel` that classifies images; of a run of `experiments.density` a
      `TrainedFlow` or `TrainedImageFlow`, of `experiments.series` a `TrainedSeries`, of
      `experiments.detection` a `TrainedDetector`, of `experiments.depth` a `TrainedDepth`. A run of
      your own model that does not classify images gives a `TrainedModule`, whose `predict` takes
      what the module takes.

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
        if model is not None:
            return own_run(path, checkpoint, model)
        recorded = loader_of(path)
        return _from_run(path, checkpoint) if recorded is None else recorded(path, checkpoint)
    if model is not None:
        raise ConfigError(f"{path} must be a run's directory where a model is given")
    if not path.exists():
        raise ConfigError(f"{path} must be a run's directory or a file of weights: there is none")
    return from_file(read_file(path), path, {})


def load_classifier(source: str | os.PathLike[str], *, checkpoint: Which = "last") -> TrainedModel:
    """As `load`, of a model that classifies images.

    Args:
      source: as of `load`.
      checkpoint: as of `load`.

    Raises:
      ConfigError: also for a model of something else.

    Example:
      >>> from jaxode.inference import load_classifier
      >>> load_classifier("runs/mnist/odenet-20261127-101500").class_names  # doctest: +SKIP
      ('0', '1', '2', '3', '4', '5', '6', '7', '8', '9')
    """
    found = load(source, checkpoint=checkpoint)
    if not isinstance(found, TrainedModel):
        raise ConfigError(f"{source} must be of a classifier of images, and is {found!r}")
    return found


def read_file(path: Path) -> WeightFile:
    """The content of a weight file. Raises ConfigError if it is refused or cannot be read."""
    try:
        found = read_weight_file(path)
    except InteropError as error:
        raise ConfigError(one_line(error)) from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from error
    for note in found.notes:
        logger.info("%s: %s", path, note)
    return found


def from_file(found: WeightFile, path: Path, given: Mapping[str, Any]) -> TrainedModel:
    """The trained model of a weight file, with some settings changed.

    Args:
      found: its content.
      path: of the file, for messages and the record.
      given: settings by name.

    Raises:
      ConfigError: what the file says is damaged or is not enough, or a setting is wrong.
    """
    if found.settings is None:
        return convert_weights(found, path, given)
    about = read_about(found, path)
    try:
        config = RunConfig.from_json(need(about, "config", dict, "metadata")).replaced(**given)
        spec = spec_from_facts(
            config.data.dataset, need(about, "images", dict, "metadata"), "metadata: images"
        )
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError(f"{path}: {one_line(error)}") from error
    with precision_of(config):
        if about.get("layout") == "torch":
            learned = _from_torch_layout(found.weights, config, spec, path)
        else:
            learned = learned_of(found.weights, _fresh(config, spec), path)
    return TrainedModel(
        config,
        spec,
        learned,
        origin=path,
        epoch=about.get("epoch"),
        converted_from=about.get("converted_from"),
    )


def _from_torch_layout(
    weights: Mapping[str, np.ndarray], config: RunConfig, spec: DatasetSpec, path: Path
) -> Learned:
    model = _created(config, spec)
    try:
        nnx.update(model, from_torch(model, weights, channels=view_shape(config, spec)[2]))
    except InteropError as error:
        raise ConfigError(f"{path}: {error}") from error
    return split_model(model)[1]


def _from_run(path: Path, which: Which) -> TrainedModel:
    path, name = run_of(path)
    try:
        directory = RunDirectory.open(path)
        config, facts = directory.config, directory.dataset_facts
        where = f"{path / DATASET}: "
        spec = (
            spec_of(config.data)  # a run of an earlier version
            if facts is None
            else spec_from_facts(config.data.dataset, facts, where)
        )
        with precision_of(config):
            model = _created(config, spec)
            found = read_checkpoint(
                directory,
                name or which,
                split_model(model)[1],
                config.model.ode_blocks,
                regularised=bool(regularised_modules(model)),
            )
    except (ResumeError, CheckpointError, ValueError) as error:
        raise ConfigError(one_line(error)) from error
    return TrainedModel(
        config, spec, found.state.learned, origin=path, epoch=len(found.meta["history"])
    )


def _fresh(config: RunConfig, spec: DatasetSpec) -> Learned:
    """Parameters and statistics of the right shapes."""
    return split_model(_created(config, spec))[1]


def _created(config: RunConfig, spec: DatasetSpec) -> nnx.Module:
    return create_model(
        config.model,
        config.solve,
        image_shape=view_shape(config, spec),
        classes=spec.classes,
        rngs=nnx.Rngs(0),
        dtype=config.dtype,
        precision=config.precision,
    )
