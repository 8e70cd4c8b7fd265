"""The model of a run, with the parameters of a checkpoint."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from jaxode.config import RunConfig
from jaxode.data import spec_of, view_shape
from jaxode.errors import ResumeError
from jaxode.models import create_model
from jaxode.nn.regularisation import regularised_modules
from jaxode.optim import optimizer
from jaxode.runs import Progress, RunDirectory
from jaxode.runs.checkpoint_folder import CHECKPOINTS
from jaxode.train.state import initial_state, split_model


class Restored(NamedTuple):
    """A run's model and settings, and the name of the checkpoint whose parameters the model has."""

    model: nnx.Module
    config: RunConfig
    checkpoint: str


def restored(directory: Path) -> Restored:
    """The model of a run's newest checkpoint, or of one checkpoint named by its directory.

    Raises ResumeError if there is none, CheckpointError if it is damaged.
    """
    place = directory.resolve()
    one = place.parent.name == CHECKPOINTS
    run = place.parents[1] if one else directory
    opened = RunDirectory.open(run)
    config, checkpoints = opened.config, opened.checkpoints
    spec = spec_of(config.data)
    with jax.enable_x64(config.precision == "float64"):
        model = create_model(
            config.model,
            config.solve,
            image_shape=view_shape(config, spec),
            classes=spec.classes,
            rngs=nnx.Rngs(0),
            dtype=jnp.dtype(config.dtype),
            precision=config.precision,
        )
        blocks, transform = config.model.ode_blocks, optimizer(config.optim, 1)
        regularised = bool(regularised_modules(model))
        learned, precision = split_model(model)[1], config.precision
        template = initial_state(learned, transform, blocks, precision, regularised=regularised)
        if one:
            found = checkpoints.read(place.name, template)
        else:
            found = checkpoints.load(template, Progress().warn)
        if found is None:
            raise ResumeError(f"{directory} has no checkpoint yet")
        nnx.update(model, *found.state.learned)
    print(f"parameters of {found.name}", file=sys.stderr)
    return Restored(model, config, found.name)
