"""How the settings of a run name a model that was passed as an object."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from flax import nnx

from jaxode.checks import ConfigError
from jaxode.config import ModelConfig, ModelFacts, RunConfig
from jaxode.config.models import model_name
from jaxode.data import Dataset
from jaxode.models import create_model
from jaxode.train.state import split_model


class GivenModel:
    """A function that returns copies of a model, and is named by the model's class.

    It stands where a registered model's name does. Settings of models and solves are not used by
    it, for the object has its own.

    Args:
        model: any module.
    """

    def __init__(self, model: nnx.Module) -> None:
        kind = type(model)
        self.model = model
        self.__module__, self.__qualname__ = kind.__module__, kind.__qualname__
        self.facts = ModelFacts(model_name(kind), kind.__name__, uses=frozenset())

    def __call__(self) -> nnx.Module:
        """A copy of the model."""
        return nnx.clone(self.model)

    def __deepcopy__(self, memo: object) -> GivenModel:
        return self  # `dataclasses.asdict` copies what it finds


def recorded_config(model: nnx.Module, data: Dataset, config: RunConfig) -> RunConfig:
    """The settings that a run of a given model records.

    They name the data set, and the registered model of `config.model` if the object is exactly
    what that makes, so that `jaxode.load` can make it again; otherwise the object's class.

    Args:
        model: the object.
        data: what it is trained on.
        config: settings as the user gave them.
    """
    config = config.replaced(dataset=data.name, data=data.source)
    if is_as_configured(model, data, config):
        return config
    return dataclasses.replace(config, model=ModelConfig(GivenModel(model)))


def is_as_configured(model: nnx.Module, data: Dataset, config: RunConfig) -> bool:
    """Whether a model has the structure, shapes and static settings that a run's settings describe.

    Args:
        model: the object.
        data: what it is trained on.
        config: the settings.
    """
    options = data.model_options(config)
    if not {"image_shape", "classes"} <= set(options):
        return False

    def structure(model: nnx.Module) -> object:
        graphdef, learned = split_model(model)
        return graphdef, jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), learned)

    try:
        made = create_model(
            config.model,
            config.solve,
            **options,
            rngs=nnx.Rngs(0),
            dtype=jnp.dtype(config.dtype),
            precision=config.precision,
            kernels=config.kernels,
        )
    except (ConfigError, TypeError):
        return False
    return type(made) is type(model) and structure(made) == structure(nnx.clone(model))
