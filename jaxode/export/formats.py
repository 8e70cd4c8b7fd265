"""The formats by name, and one function that writes any of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from jaxode.checks import ConfigError
from jaxode.export.onnx import to_onnx
from jaxode.export.stablehlo import to_stablehlo
from jaxode.export.weights import to_npz, to_safetensors, to_torch_weights
from jaxode.inference import TrainedModel
from jaxode.runs.files import write_whole


class Format(NamedTuple):
    """A format: what makes its bytes, how its files end, and what it is for."""

    to_bytes: Callable[[TrainedModel], bytes]
    suffix: str
    about: str


FORMATS = {
    "stablehlo": Format(to_stablehlo, ".stablehlo", "a program for CPU, CUDA and TPU, any batch"),
    "onnx": Format(to_onnx, ".onnx", "a program for ONNX runtimes; fixed steps"),
    "safetensors": Format(to_safetensors, ".safetensors", "weights and settings for jaxode.load"),
    "npz": Format(to_npz, ".npz", "the same as NumPy's file"),
    "torch": Format(to_torch_weights, ".pt", "a state_dict named as in odenet_mnist.py"),
}


def save(trained: TrainedModel, path: str | os.PathLike[str], format: str | None = None) -> Path:
    """Write a trained model.

    Args:
      trained: what `jaxode.load` returned.
      path: the file to write, whole or not at all.
      format: one of FORMATS; by default what the path's suffix says.

    Returns:
      the path.

    Raises:
      ConfigError: no such format, a model that the format cannot express, or a missing package.
      OSError: the file cannot be written.

    Example:
      >>> import jaxode
      >>> model = jaxode.load("runs/mnist/odenet-20261127-101500")  # doctest: +SKIP
      >>> jaxode.export.save(model, "digits.stablehlo")  # doctest: +SKIP
      PosixPath('digits.stablehlo')
    """
    path = Path(path)
    if format is None:
        suffixes = {known.suffix: name for name, known in FORMATS.items()}
        format = suffixes.get(path.suffix)
        if format is None:
            raise ConfigError(f"path must end in {', '.join(suffixes)}, got {path.name!r}")
    if format not in FORMATS:
        raise ConfigError(f"format must be one of {', '.join(FORMATS)}, got {format!r}")
    write_whole(path, FORMATS[format].to_bytes(trained))
    return path
