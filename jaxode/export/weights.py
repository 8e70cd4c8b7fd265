"""Weights with all that `jaxode.load` needs, as safetensors, .npz or PyTorch's; without PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxode.checks import ConfigError
from jaxode.data import view_shape
from jaxode.inference import TrainedModel
from jaxode.inference.weights import flat_names, settings_text
from jaxode.interop import InteropError, to_torch
from jaxode.interop.weight_files import WRITERS


def weight_bytes(trained: TrainedModel, suffix: str, layout: str = "jaxode") -> bytes:
    """A file of a model's weights, with its settings, class names and normalisation.

    In jaxode's layout every parameter and running statistic stands under its path, such as
    `blocks.0.field.conv1.kernel`; in PyTorch's, under the names of torchdiffeq's `odenet_mnist.py`,
    and axes are PyTorch's. The settings are JSON, where the format keeps them: in a safetensors
    file's metadata, in a member `jaxode.json` of the other two, which PyTorch passes over.

    Args:
      trained: the model.
      suffix: .safetensors, .npz or .pt.
      layout: names and axes of the arrays: jaxode or torch.

    Raises:
      ConfigError: the model has no counterpart in PyTorch.
    """
    if layout == "torch":
        try:
            arrays = to_torch(trained.model, channels=view_shape(trained.config, trained.spec)[2])
        except InteropError as error:
            raise ConfigError(f"layout torch is not for this model: {error}") from error
    else:
        arrays = {name: np.asarray(value) for name, value in flat_names(trained.learned).items()}
    about: dict[str, Any] = {
        "config": trained.config.to_json(),
        "images": trained.facts(),
        "epoch": trained.epoch,
        "layout": layout,
    }
    if trained.converted_from is not None:
        about["converted_from"] = trained.converted_from
    return WRITERS[suffix](arrays, settings_text(arrays, about))


def to_safetensors(trained: TrainedModel) -> bytes:
    """Weights and settings for `jaxode.load`."""
    return weight_bytes(trained, ".safetensors")


def to_npz(trained: TrainedModel) -> bytes:
    """The same as NumPy's file."""
    return weight_bytes(trained, ".npz")


def to_torch_weights(trained: TrainedModel) -> bytes:
    """A state_dict for `torch.load`, with the names of torchdiffeq's `odenet_mnist.py`.

    Raises ConfigError for a model that has no counterpart in PyTorch.
    """
    return weight_bytes(trained, ".pt", "torch")
