"""Creates a model with initial parameters from a name, a class or a function."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

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
    dtype: DTypeLike = jnp.float32,
    precision: Precision = "float32",
    kernels: Kernels | KernelsName = "auto",
) -> nnx.Module:
    """A model with initial parameters; a registered model's are drawn from PyTorch's distributions.

    Args:
      model: a registered name; a class or function of your own, called with the fields of `Request`
        that are among its parameters; or settings with one of these.
      solve: how ODE blocks are solved; models without them ignore it. None for the defaults.
      image_shape: height, width and channels of an image.
      classes: number of classes.
      rngs: stream `params` of keys.
      dtype: floating-point type of parameters, images and states.
      precision: of the convolutions: tf32, bfloat16 or float16; float32 and float64 stand for
        `dtype`.
      kernels: a name, or the functions themselves; "auto" is the quickest for backend and
        precision.

    Returns:
      A module that maps images [B, H, W, C] to logits [B, classes], or to (logits, Stats).

    Raises:
      ConfigError: an image too small for the model, no classes, a number of classes that the model
        is not made for, or a function with a parameter that is not a field of `Request`.

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
        outside = choose_kernels(precision, requested=kernels)
        within = choose_kernels(precision, requested=kernels, forward_mode=implicit)
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


def _call(factory: Callable[..., nnx.Module], request: Request) -> nnx.Module:
    """Call a factory with the fields of a request that are among its parameters."""
    if isinstance(factory, type):  # Flax's classes are called with *args, **kwargs
        _, *parameters = inspect.signature(factory.__init__).parameters.values()
    else:
        parameters = list(inspect.signature(factory).parameters.values())
    by_name = {parameter.name: parameter for parameter in parameters}
    known = vars(request)
    unknown = [
        name
        for name, parameter in by_name.items()
        if name not in known
        and parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
    if unknown:
        raise ConfigError(
            f"{request.model.name} must have parameters among {', '.join(known)}, got"
            f" {', '.join(unknown)}"
        )
    built = factory(**{name: known[name] for name in by_name if name in known})
    if not isinstance(built, nnx.Module):
        raise ConfigError(f"{request.model.name} must make an nnx.Module, got {built!r}")
    return built
