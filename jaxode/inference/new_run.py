"""A run that starts from the parameters of a trained model, such as one converted from PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from flax import nnx

from jaxode.checks import ConfigError
from jaxode.config import RunConfig
from jaxode.data import Dataset
from jaxode.data.facts import image_facts
from jaxode.distributed.process_group import ProcessGroup
from jaxode.errors import CheckpointError, Stopped
from jaxode.inference.trained import TrainedModel, precision_of
from jaxode.models import create_model
from jaxode.runs import Progress, RunDirectory
from jaxode.runs.files import write_json
from jaxode.train.interrupts import Interrupts
from jaxode.train.loop import Trainer

ORIGIN = "origin.json"
"""Names the file that a run's first parameters are from."""

SAME = ("class_names", "image_size", "view_size")
"""Facts of images that a model depends on."""


def start_run(trained: TrainedModel, config: RunConfig, data: Dataset, out: Path) -> None:
    """Make the directory of a run that has made no step and has a model's parameters.

    `jaxode train DATASET --resume OUT` goes on from there.

    Args:
      trained: the model.
      config: settings of the run, with the same model.
      data: the data set that `config` names.
      out: the directory, which must not exist or be empty.

    Raises:
      ConfigError: other images than the model's, a directory that is not empty or that another
        process trains into, or a checkpoint that cannot be written.
      Stopped: a signal came; the run is whole all the same.
    """
    found, wanted = image_facts(data.spec), trained.facts()
    for name in SAME:
        if found[name] != wanted[name]:
            raise ConfigError(f"{data.name} must have the {name} of the model, {wanted[name]},"
                              f" got {found[name]}")  # fmt: skip
    with precision_of(config), Interrupts(Progress().warn) as interrupts:
        with interrupts.compiling():
            trainer = Trainer(
                config,
                data,
                out,
                Progress(),
                _with_parameters(trained),
                None,
                interrupts,
                ProcessGroup(),
            )
        try:
            with RunDirectory.create(out):
                # The settings last: they make the directory a run, which without its checkpoint
                # would start from the seed.
                trainer.records.save(trainer.state, 0)
                write_json(out / ORIGIN, trained.converted_from or {"file": str(trained.origin)})
                trainer.records.start()
        except CheckpointError as error:
            raise ConfigError(str(error)) from error
        if interrupts.signum is not None:
            raise Stopped(interrupts.signum)


def _with_parameters(trained: TrainedModel) -> Callable[..., nnx.Module]:
    """A function in place of `create_model` that puts a model's parameters into the new one."""

    def build(*args: Any, **options: Any) -> nnx.Module:
        model = create_model(*args, **options)
        nnx.update(model, *trained.learned)
        return model

    return build
