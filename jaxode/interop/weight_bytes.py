"""Weights as the bytes of a file, by its suffix: safetensors, NumPy's .npz or PyTorch's."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable

import numpy as np
from safetensors.numpy import save as to_safetensors

from jaxode.interop.npz import SETTINGS
from jaxode.interop.torch_writer import torch_bytes

Weights = dict[str, np.ndarray]

METADATA = "jaxode"
"""Key of the metadata of a safetensors file under which jaxode keeps a model's settings."""

NUMPY_FLOATS = ("float16", "float32", "float64")


def safetensors_bytes(weights: Weights, settings: str | None) -> bytes:
    """A file of safetensors, with the settings in its metadata."""
    # Contiguous copies, for safetensors takes an array's memory as it lies.
    arrays = {name: np.array(array, order="C") for name, array in weights.items()}
    return to_safetensors(arrays, None if settings is None else {METADATA: settings})


def npz_bytes(weights: Weights, settings: str | None) -> bytes:
    """As np.savez, which has arguments of its own and can take no array of their names."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, array in weights.items():
            plain = array if array.dtype.name in NUMPY_FLOATS else array.astype(np.float32)
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, plain, allow_pickle=False)
        if settings is not None:
            archive.writestr(zipfile.ZipInfo(SETTINGS), settings)
    return target.getvalue()


def _torch_bytes(weights: Weights, settings: str | None) -> bytes:
    return torch_bytes(weights, None if settings is None else settings.encode())


WRITERS: dict[str, Callable[[Weights, str | None], bytes]] = {
    ".safetensors": safetensors_bytes,
    ".npz": npz_bytes,
    ".pt": _torch_bytes,
    ".pth": _torch_bytes,
}
"""By suffix."""
