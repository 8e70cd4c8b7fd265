"""Weights with all that `jaxode.load` needs, as a safetensors file; no PyTorch is needed."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from safetensors.numpy import save

from jaxode.inference import TrainedModel
from jaxode.inference.weights import FORMAT, KEY, flat_names


def to_safetensors(trained: TrainedModel) -> bytes:
    """Every parameter and running statistic under its path, such as `blocks.0.field.conv1.kernel`.

    The file's metadata hold, as JSON under `jaxode`, settings, class names and normalisation.
    """
    arrays = {name: np.asarray(value) for name, value in flat_names(trained.learned).items()}
    about: dict[str, Any] = {
        "format": FORMAT,
        "config": trained.config.to_json(),
        "images": trained.facts(),
        "epoch": trained.epoch,
    }
    return save(arrays, {KEY: json.dumps(about)})
