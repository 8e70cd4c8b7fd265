"""What a model is to the rest of the program: its facts and how it is built; and the registry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import jax.numpy as jnp
from flax import nnx

from jaxode.checks import ConfigError, require
from jaxode.config import MODEL_FACTS, ModelConfig, ModelFacts, Precision, SolveConfig
from jaxode.nn.kernels import Kernels


@dataclass(frozen=True)
class Request:
    """What a model is built from.

    Args:
      model: blocks, width, augmentation and stem; and the model's own name.
      solve: how ODE blocks are solved; other models ignore it.
      image_shape: height, width and channels of an image.
      classes: number of classes.
      rngs: stream `params` of keys.
      dtype: floating-point type of parameters, images and states.
      precision: of the convolutions.
      kernels: convolutions and norms outside of ODE blocks.
      field_kernels: those of ODE blocks, which an implicit solver differentiates in forward mode.
    """

    model: ModelConfig
    solve: SolveConfig
    image_shape: tuple[int, int, int]
    classes: int
    rngs: nnx.Rngs
    dtype: jnp.dtype
    precision: Precision
    kernels: Kernels
    field_kernels: Kernels


@dataclass(frozen=True)
class Model:
    """A model by name: what is true of it, and the function that builds it.

    Args:
      facts: name, title and the settings that it uses.
      build: a `Request` → an `nnx.Module` with fresh parameters. Called with images [B, H, W, C] it
        returns logits [B, classes]; with ODE blocks it may return (logits, Stats of all of them).
    """

    facts: ModelFacts
    build: Callable[[Request], nnx.Module]


MODELS: dict[str, Model] = {}
"""The registered models by their names."""


def register_model(model: Model) -> Model:
    """Give a model a name, by which settings and the command line know it from then on.

    Args:
      model: its `facts.name` must be new.

    Returns:
      The model.

    Raises:
      ConfigError: the name is taken.

    Example:
      >>> from flax import nnx
      >>> from jaxode.config import ModelConfig, ModelFacts
      >>> from jaxode.models import MODELS, Model, register_model
      >>> def build(request):
      ...     return nnx.Linear(4, request.classes, rngs=request.rngs)
      >>> _ = register_model(Model(ModelFacts("flat", "Linear map"), build))
      >>> ModelConfig("flat").facts.title
      'Linear map'
      >>> unregister_model("flat")
    """
    name = model.facts.name
    if name in MODELS:
        raise ConfigError(f"model {name!r} is registered already")
    known = MODEL_FACTS.setdefault(name, model.facts)
    require(known is model.facts, "facts", model.facts, f"those of {name} in jaxode.config")
    MODELS[name] = model
    return model


def unregister_model(name: str) -> None:
    """Forget a registered model. Raises KeyError if there is none of that name."""
    del MODELS[name]
    del MODEL_FACTS[name]
