"""A registered model (its facts and how it is built), and the registry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from flax import nnx
from jax.typing import DTypeLike

from jaxode.checks import ConfigError, require
from jaxode.config import MODEL_FACTS, ModelConfig, ModelFacts, Precision, SolveConfig
from jaxode.nn.kernels import Kernels


@dataclass(frozen=True)
class Request:
    """Arguments of the function that builds a model.

    Args:
      model: name, blocks, width, augmentation and stem.
      solve: how ODE blocks are solved; models without them ignore it.
      image_shape: height, width and channels of an image.
      classes: number of classes.
      rngs: stream `params` of keys.
      dtype: floating-point type of parameters, images and states.
      precision: of the convolutions.
      kernels: convolutions and norms outside of ODE blocks.
      field_kernels: convolutions and norms in ODE blocks; an implicit solver differentiates them in
        forward mode.

    Example:
      >>> from flax import nnx
      >>> from jaxode.models import Request, create_model
      >>> def factory(classes, rngs):  # parameters are named as fields of Request
      ...     return nnx.Linear(4, classes, rngs=rngs)
      >>> model = create_model(factory, image_shape=(28, 28, 1), classes=10, rngs=nnx.Rngs(0))
      >>> model.out_features, "classes" in Request.__annotations__
      (10, True)
    """

    model: ModelConfig
    solve: SolveConfig
    image_shape: tuple[int, int, int]
    classes: int
    rngs: nnx.Rngs
    dtype: DTypeLike
    precision: Precision
    kernels: Kernels
    field_kernels: Kernels


@dataclass(frozen=True)
class Model:
    """A registered model: its facts, and the function that builds it.

    Args:
      facts: name, title and the settings that it uses.
      build: a `Request` → an `nnx.Module` with initial parameters. Called with images [B, H, W, C]
        it returns logits [B, classes], or (logits, Stats of all ODE blocks).

    Example:
      >>> from jaxode.models import MODELS
      >>> MODELS["odenet"].facts.title
      'ODENet'
    """

    facts: ModelFacts
    build: Callable[[Request], nnx.Module]


MODELS: dict[str, Model] = {}
"""The registered models by their names."""


def register_model(model: Model) -> Model:
    """Register a model by its name, for settings and the command line.

    Args:
      model: its `facts.name` must be new.

    Returns:
      The model.

    Raises:
      ConfigError: a model of that name is registered already.

    Example:
      >>> from flax import nnx
      >>> from jaxode.config import ModelConfig, ModelFacts
      >>> from jaxode.models import Model, register_model, unregister_model
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
    """Remove a model from the registry.

    Args:
      name: of a registered model.

    Raises:
      KeyError: no model of that name is registered.

    Example:
      See `register_model`:

      >>> from jaxode.models import unregister_model
      >>> unregister_model("unknown")
      Traceback (most recent call last):
      KeyError: 'unknown'
    """
    del MODELS[name]
    del MODEL_FACTS[name]
