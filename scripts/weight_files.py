"""Weight files as in `jaxode.interop`, with PyTorch's .pt and .pth among them."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import jax.numpy as jnp
import numpy as np
import torch
from torch import Tensor

from jaxode import interop
from jaxode.interop.weight_files import Weights
from torch_ref import weights as torch_weights

ENDINGS = (".pt", ".pth", ".safetensors", ".npz")


def read_weights(path: Path) -> Weights:
    """The arrays in a file, by name; nothing in the file is executed.

    Raises:
      WeightsError: a .pt or .pth file that is refused.
      InteropError: another file that is refused.
      OSError: it cannot be read.
    """
    return interop.read_weights(path, {".pt": _read_torch, ".pth": _read_torch})


def write_weights(path: Path, weights: Weights) -> None:
    """Write arrays into a file, which is whole or as it was before. Raises OSError."""
    interop.write_weights(path, weights, {".pt": _write_torch, ".pth": _write_torch})


def to_array(tensor: Tensor) -> np.ndarray:
    """A tensor's numbers; of types that NumPy lacks (bfloat16, 8 bits), in those of JAX."""
    if tensor.dtype in (torch.float16, torch.float32, torch.float64):
        return tensor.numpy()
    bits = tensor.contiguous().view(torch.int16 if tensor.element_size() == 2 else torch.uint8)
    return bits.numpy().view(jnp.dtype(str(tensor.dtype).removeprefix("torch.")))


def to_tensor(array: np.ndarray) -> Tensor:
    """A tensor of the same numbers and type, with memory of its own."""
    copy = np.array(array, order="C")
    if copy.dtype.kind == "f":
        return torch.from_numpy(copy)
    bits = copy.view(np.int16 if copy.dtype.itemsize == 2 else np.uint8)
    return torch.from_numpy(bits).view(getattr(torch, copy.dtype.name))


def _read_torch(path: Path) -> Weights:
    return {name: to_array(tensor) for name, tensor in torch_weights.read(path).items()}


def _write_torch(target: BinaryIO, weights: Weights) -> None:
    torch.save({name: to_tensor(array) for name, array in weights.items()}, target)
