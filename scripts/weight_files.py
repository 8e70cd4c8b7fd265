"""Weights of a PyTorch model in files, by their ending: .pt and .pth, .safetensors, .npz."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load as from_safetensors
from safetensors.torch import save as to_safetensors

from jaxode.runs.files import write_whole
from torch_ref import files
from torch_ref.files import FileError, line
from torch_ref.weights import Weights, WeightsError, checked
from torch_ref.weights import read as read_torch

ENDINGS = (".pt", ".pth", ".safetensors", ".npz")

NUMPYS_OWN = (torch.float16, torch.float32, torch.float64)


def read_weights(path: Path) -> Weights:
    """The tensors in a file, by name; nothing in the file is run. Raises WeightsError, OSError."""
    if path.suffix in (".pt", ".pth"):
        return read_torch(path)
    try:
        if path.suffix == ".safetensors":
            return checked(from_safetensors(_safetensors(path)), path)
        found = {name: torch.from_numpy(array) for name, array in files.arrays(path).items()}
        return checked(found, path)
    except (WeightsError, OSError):
        raise
    except Exception as error:  # whatever a reader meets in damaged bytes
        raise WeightsError(f"{path} is no {path.suffix} file of arrays: {line(error)}") from error


def _safetensors(path: Path) -> bytes:
    """The contents of a file whose header is not too long and names nothing twice.

    Raises FileError, OSError.

    The rest of the header is checked by safetensors itself.
    """
    with files.opened(path) as file:
        contents = file.read()
    length = int.from_bytes(contents[:8], "little")
    if length > files.MOST_HEADER:
        raise FileError(f"its header takes {length} bytes, more than {files.MOST_HEADER}")
    json.loads(contents[8 : 8 + length], object_pairs_hook=_once)
    return contents


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise FileError(f"{ascii(name)[:100]} is in it twice")
        found[name] = value
    return found


def write_weights(path: Path, weights: Weights) -> None:
    """Put the tensors into a file, whole or not at all. Raises OSError."""
    packed = io.BytesIO()
    if path.suffix in (".pt", ".pth"):
        torch.save(weights, packed)
    elif path.suffix == ".safetensors":
        # Copies: safetensors refuses tensors that share their memory, as tied weights do.
        copies = {
            name: tensor.clone(memory_format=torch.contiguous_format)
            for name, tensor in weights.items()
        }
        packed.write(to_safetensors(copies))
    else:
        _write_npz(packed, weights)
    write_whole(path, packed.getvalue())


def _write_npz(target: io.BytesIO, weights: Weights) -> None:
    """As np.savez, which has arguments of its own and can take no tensor of their names."""
    with zipfile.ZipFile(target, "w") as archive:
        for name, tensor in weights.items():
            # NumPy has no bfloat16 and nothing of 8 bits; float32 holds their numbers exactly.
            plain = tensor if tensor.dtype in NUMPYS_OWN else tensor.float()
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, plain.numpy(), allow_pickle=False)
