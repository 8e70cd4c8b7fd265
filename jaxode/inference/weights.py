"""jaxode's own file of weights: arrays by their paths, and settings in the metadata."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from safetensors import SafetensorError, safe_open

from jaxode.checks import ConfigError
from jaxode.strict_json import loads
from jaxode.train.state import Learned

KEY = "jaxode"
"""Of the metadata."""

FORMAT = 1


def flat_names(learned: Learned) -> dict[str, jax.Array]:
    """Parameters and running statistics by their paths, `blocks.0.field.conv1.kernel`."""
    found = {}
    for state in learned:
        for path, variable in nnx.to_flat_state(state):
            found[".".join(map(str, path))] = variable.get_value()
    return found


def read_about(path: Path) -> dict[str, Any]:
    """The metadata of a file that `jaxode export --format safetensors` wrote.

    Raises ConfigError if it is no such file.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            text = (file.metadata() or {}).get(KEY)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from error
    except SafetensorError as error:
        raise ConfigError(f"{path} is no whole safetensors file: {error}") from error
    if text is None:
        raise ConfigError(
            f"{path} must be weights that jaxode wrote, and its metadata name no settings:"
            " convert PyTorch's weights first"
        )
    try:
        about = loads(text, "metadata")
        if about.get("format") != FORMAT:
            raise ValueError(f"format must be {FORMAT}, got {about.get('format')!r}")
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from error
    return about


def read_arrays(path: Path, template: Learned) -> Learned:
    """The arrays of a file in the shape of a model's.

    Raises ConfigError naming arrays that are missing, not the model's, or of another shape.
    """
    with safe_open(path, framework="numpy") as file:
        stored: dict[str, np.ndarray] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    wanted = flat_names(template)
    problems = [f"unexpected {name}" for name in stored if name not in wanted]
    for name, leaf in wanted.items():
        if name not in stored:
            problems.append(f"missing {name}")
        elif stored[name].shape != leaf.shape:
            problems.append(f"{name} has shape {stored[name].shape}, not {leaf.shape}")
    if problems:
        raise ConfigError(f"{path} is not this model's: {'; '.join(problems)}")
    parts = []
    for state in template:
        flat = [
            (path, variable.replace(jnp.array(stored[".".join(map(str, path))])))
            for path, variable in nnx.to_flat_state(state)
        ]
        parts.append(nnx.from_flat_state(flat))
    return Learned(*parts)
