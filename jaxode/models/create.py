"""From a name, a class or a function to a model with fresh parameters."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from flax import nnx

from jaxode.checks import ConfigError, require, require_count
from jaxode.config import (
    MODEL_FACTS,
    KernelsName,
    ModelChoice,
    ModelConfig,
    Precision,
    SolveConfig,
)
from jaxode.models.base import MODELS, Request
from jaxode.nn.kernels import Kernels, choose_kernels


def create_model(
    model: ModelConfig | ModelChoice,
    solve: SolveConfig | None = None,
    *,
    image_shape: tuple[int, int, int],
    classes: int,
    rngs: nnx.Rngs,
    dtype: Any = jnp.float32,
    precision: Precision = "float32",
    kernels: Kernels | KernelsName = "auto",
) -> nnx.Module:
    """A model with fresh parameters; a registered one draws them as PyTorch does.

    Args:
      model: a registered name; a class or function of your own, which is called with those of the
        arguments of `create_model` and of the fields of `Request` that its parameters name; or
        settings with either of them.
      solve: how ODE blocks are solved; models without them ignore it.
      image_shape: height, width and channels of an image.
      classes: number of classes.
      rngs: stream `params` of keys.
      dtype: floating-point type of parameters, images and states.
      precision: of the convolutions: tf32, bfloat16 and float16 are less than float32; the others
        are `dtype`.
      kernels: a name, or functions to use instead; "auto" is the quickest for backend and
        precision.

    Raises:
      ConfigError: an image too small to be downsampled, no classes, a number of classes that the
        model is not made for, or a function that asks for what there is not.

    Example:
      >>> from flax import nnx
      >>> from jaxode.models import create_model, parameter_count
      >>> model = create_model("mlp", image_shape=(28, 28, 1), classes=10, rngs=nnx.Rngs(0))
      >>> parameter_count(model)
      238510
    """
    require_count("classes", classes)
    model = model if isinstance(model, ModelConfig) else ModelConfig(model)
    solve = SolveConfig() if solve is None else solve
    implicit = model.ode_blocks > 0 and solve.solver_facts.implicit
    if isinstance(kernels, Kernels):
        outside = within = kernels
    else:
        outside = choose_kernels(precision, wanted=kernels)
        within = choose_kernels(precision, wanted=kernels, forward_mode=implicit)
    only = model.facts.classes
    others = " or ".join(name for name, facts in MODEL_FACTS.items() if facts.classes is None)
    require(only in (None, classes), "model", model.name, f"{others} for {classes} classes")
    request = Request(
        model=model,
        solve=solve,
        image_shape=image_shape,
        classes=classes,
        rngs=rngs,
        dtype=dtype,
        precision=precision,
        kernels=outside,
        field_kernels=within,
    )
    if isinstance(model.model, str):
        return MODELS[model.model].build(request)
    return _call(model.model, request)


def _call(factory: Callable[..., Any], request: Request) -> nnx.Module:
    """What a factory makes of the parts of a request that it asks for."""
    if isinstance(factory, type):  # Flax's classes are called with *args, **kwargs
        _, *parameters = inspect.signature(factory.__init__).parameters.values()
    else:
        parameters = list(inspect.signature(factory).parameters.values())
    asked = {parameter.name: parameter for parameter in parameters}
    known = vars(request)
    lacking = [
        name
        for name, parameter in asked.items()
        if name not in known
        and parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
    if lacking:
        raise ConfigError(
            f"{request.model.name} must ask for some of {', '.join(known)}, got"
            f" {', '.join(lacking)}"
        )
    built = factory(**{name: known[name] for name in asked if name in known})
    if not isinstance(built, nnx.Module):
        raise ConfigError(f"{request.model.name} must make an nnx.Module, got {built!r}")
    return built
