"""Weights of PyTorch to a trained model: which model they are of, and how it is used."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from flax import nnx

from jaxode.checks import ConfigError, any_of
from jaxode.config import RunConfig, preset
from jaxode.data import SPECS, DatasetSpec, spec_of, view_shape
from jaxode.inference.trained import TrainedModel, precision_of
from jaxode.interop import InteropError, Layout, WeightFile, from_torch, layout_of
from jaxode.interop.odenet_mnist import is_of_odenet_mnist, settings_of
from jaxode.models import create_model
from jaxode.strict_json import JsonObject
from jaxode.train.state import split_model


def convert_weights(found: WeightFile, path: Path, given: Mapping[str, Any]) -> TrainedModel:
    """A trained model of a PyTorch state_dict laid out as in `odenet_mnist.py`.

    Model, blocks, width and augmentation are those of the shapes. A checkpoint that
    `odenet_mnist.py` saved also says how its images were shown (pixels from 0 to 1) and how its
    ODE was solved (dopri5, its tolerance, torchdiffeq's steps); of others these are the settings
    with which jaxode trains on the data set.

    Args:
      found: the file's content, in PyTorch's layout.
      path: of the file, for messages and the record.
      given: settings by name, which take precedence: `dataset`, `pixels`, `rtol`, …

    Raises:
      ConfigError: the data set is not known, is not one of such images or classes, or a setting is
        wrong or contradicts the file.
    """
    try:
        recorded = settings_of(found.flags or {}) if is_of_odenet_mnist(found.flags) else {}
        dataset = given.get("dataset", recorded.get("dataset"))
        side = SPECS[dataset].view_size if dataset in SPECS else 28
        layout = layout_of(found.weights, side)
        if dataset is None:
            raise ConfigError(f"{path} does not say of which images it is: {_suggestion(layout)}")
        config = _settings(found.weights, layout, preset(dataset), recorded, given)
        spec = spec_of(config.data)
        _require_fitting(layout, config, spec)
        with precision_of(config):
            model = create_model(
                config.model,
                config.solve,
                image_shape=view_shape(config, spec),
                classes=spec.classes,
                rngs=nnx.Rngs(0),
                dtype=config.dtype,
                precision=config.precision,
            )
            # Exact, whatever type the file holds.
            arrays = {name: array.astype(np.float64) for name, array in found.weights.items()}
            nnx.update(model, from_torch(model, arrays, channels=view_shape(config, spec)[2]))
            learned = split_model(model)[1]
    except InteropError as error:
        raise ConfigError(f"{path}: {error}") from error
    return TrainedModel(
        config, spec, learned, origin=path, converted_from=_source(path, found.flags)
    )


def _settings(
    weights: Mapping[str, np.ndarray],
    layout: Layout,
    base: RunConfig,
    recorded: Mapping[str, Any],
    given: Mapping[str, Any],
) -> RunConfig:
    """Settings of the file, then those that are given. Raises ConfigError if they contradict."""
    own = layout.settings()
    for name in ("model", "downsampling_method"):
        if recorded.get(name, own.get(name)) != own.get(name):
            raise InteropError(
                f"its args say {name} {recorded[name]}, and its weights are those of {own[name]}"
            )
    for name, value in own.items():
        if given.get(name, value) != value:
            raise ConfigError(
                f"{name} must be left out or {value}, as it is in the file, got {given[name]}"
            )
    if any(array.dtype == np.float64 for array in weights.values()):
        own["precision"] = "float64"
    try:
        config = base.replaced(**{**recorded, **own})
    except ConfigError as error:
        raise InteropError(f"its args: {error}") from error
    return config.replaced(**given)


def _require_fitting(layout: Layout, config: RunConfig, spec: DatasetSpec) -> None:
    channels = view_shape(config, spec)[2]
    if (layout.channels, layout.classes) != (channels, spec.classes):
        raise ConfigError(
            f"dataset must be one of {layout.channels} channels and {layout.classes} classes, which"
            f" the model has, got {spec.name} of {channels} and {spec.classes}"
        )


def _suggestion(layout: Layout) -> str:
    """How to name the data set, with those of such images."""
    fitting = [
        name
        for name, spec in SPECS.items()
        if (spec.channels, spec.classes) == (layout.channels, layout.classes)
    ]
    which = f"{any_of(fitting)}, say" if fitting else "as --help lists them"
    return f"jaxode convert FILE TARGET --dataset NAME ({which})"


def _source(path: Path, flags: Mapping[str, Any] | None) -> JsonObject:
    """What a converted file is made of: name, digest, and the plain ones of the flags."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    plain = {
        name: value
        for name, value in (flags or {}).items()
        if isinstance(value, (str, bool, int, float)) and value == value  # not NaN
    }
    return {"file": path.name, "sha256": digest.hexdigest(), "args": plain}
