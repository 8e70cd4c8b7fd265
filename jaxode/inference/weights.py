"""What jaxode stores with weights in a file, so that a model can be made of the file alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxode.checks import ConfigError
from jaxode.interop import WeightFile
from jaxode.strict_json import JsonObject, loads_object
from jaxode.train.state import Learned

FORMAT = 1

DIGEST = "sha256"
"""Key of the digest of names, numbers and settings; files of earlier versions have none."""

LAYOUTS = ("jaxode", "torch")
"""Names and axes of the arrays: by the modules of jaxode, or as in PyTorch's state_dict."""


def flat_names(learned: Learned) -> dict[str, jax.Array]:
    """Parameters and running statistics by their paths, `blocks.0.field.conv1.kernel`."""
    found = {}
    for state in learned:
        for path, variable in nnx.to_flat_state(state):
            found[".".join(map(str, path))] = variable.get_value()
    return found


def settings_text(weights: Mapping[str, np.ndarray], about: JsonObject) -> str:
    """What is stored with arrays: what is known of the model, and a digest of all.

    Args:
      weights: arrays by name, as they are stored.
      about: JSON values: `config`, `images`, `epoch`, `layout` and `converted_from`.
    """
    whole = {"format": FORMAT, **about}
    return json.dumps({**whole, DIGEST: _digest(weights, whole)})


def read_about(found: WeightFile, path: Path) -> JsonObject:
    """What jaxode stored with the arrays of a file.

    Args:
      found: the file's content.
      path: of the file, for messages.

    Raises:
      ConfigError: nothing was stored, or numbers or settings are not those that were written.
    """
    if found.settings is None:
        raise ConfigError(f"{path} must be weights that jaxode wrote: it has no settings")
    try:
        about = loads_object(found.settings, "its settings")
        if about.get("format") != FORMAT:
            raise ValueError(f"format must be {FORMAT}, got {about.get('format')!r}")
        if about.get("layout", "jaxode") not in LAYOUTS:
            raise ValueError(f"layout must be one of {', '.join(LAYOUTS)}")
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from error
    digest = about.pop(DIGEST, None)
    if digest is not None and digest != _digest(found.weights, about):
        raise ConfigError(f"{path} is damaged: numbers or settings are not those written")
    return about


def _digest(weights: Mapping[str, np.ndarray], about: JsonObject) -> str:
    """SHA-256 of names, types, shapes, numbers and settings."""
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for name in sorted(weights):
        array = np.ascontiguousarray(weights[name])
        digest.update(json.dumps([name, array.dtype.name, list(array.shape)]).encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def learned_of(weights: Mapping[str, np.ndarray], template: Learned, path: Path) -> Learned:
    """Arrays in jaxode's layout in the shape of a model's parameters.

    Args:
      weights: arrays by the names of `flat_names`.
      template: parameters and statistics of the model.
      path: of the file, for messages.

    Raises:
      ConfigError: names arrays that are missing, not the model's, or of another shape.
    """
    wanted = flat_names(template)
    problems = [f"unexpected {name}" for name in weights if name not in wanted]
    for name, leaf in wanted.items():
        if name not in weights:
            problems.append(f"missing {name}")
        elif weights[name].shape != leaf.shape:
            problems.append(f"{name} has shape {weights[name].shape}, not {leaf.shape}")
    if problems:
        raise ConfigError(f"{path} is not this model's: {'; '.join(problems)}")
    parts: list[Any] = []
    for state in template:
        flat = [
            (place, variable.replace(jnp.array(weights[".".join(map(str, place))])))
            for place, variable in nnx.to_flat_state(state)
        ]
        parts.append(nnx.from_flat_state(flat))
    return Learned(*parts)
