"""Weights of a PyTorch model in files, by their ending: .pt and .pth, .safetensors, .npz."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as from_safetensors
from safetensors.torch import save as to_safetensors

from jaxode.train.files import write_whole
from torch_ref.weights import Weights, WeightsError, checked
from torch_ref.weights import read as read_torch

ENDINGS = (".pt", ".pth", ".safetensors", ".npz")


def read_weights(path: Path) -> Weights:
    """The tensors in a file, by name; nothing in the file is run. Raises WeightsError, OSError."""
    if path.suffix in (".pt", ".pth"):
        return read_torch(path)
    try:
        if path.suffix == ".safetensors":
            return checked(from_safetensors(path.read_bytes()), path)
        with np.load(path, allow_pickle=False) as stored:
            return checked({name: torch.from_numpy(stored[name]) for name in stored.files}, path)
    except WeightsError:
        raise
    except (SafetensorError, zipfile.BadZipFile, AttributeError, EOFError, ValueError, TypeError) as error:
        raise WeightsError(f"{path} is no {path.suffix} file of arrays: {error}") from error


def write_weights(path: Path, weights: Weights) -> None:
    """Put the tensors into a file, whole or not at all. Raises OSError."""
    packed = io.BytesIO()
    if path.suffix in (".pt", ".pth"):
        torch.save(weights, packed)
    elif path.suffix == ".safetensors":
        packed.write(to_safetensors({name: tensor.contiguous() for name, tensor in weights.items()}))
    else:
        # NumPy has no bfloat16; float32 holds its numbers exactly.
        plain = {name: t.float() if t.dtype == torch.bfloat16 else t for name, t in weights.items()}
        np.savez(packed, **{name: tensor.numpy() for name, tensor in plain.items()})  # pyright: ignore[reportArgumentType]
    write_whole(path, packed.getvalue())
