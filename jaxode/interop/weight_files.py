"""Weight files by their ending: .safetensors and .npz, and .pt by functions that are passed in.

A state_dict is a dict of NumPy arrays here, so that neither side of a conversion needs PyTorch.
Files may come from anywhere: sizes are compared with bounds before anything is read, and no pickle
is read at all.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import jax.numpy as jnp
import numpy as np
import safetensors
from safetensors.numpy import save as to_safetensors

from jaxode.bounded_files import open_regular
from jaxode.interop.npz import read_npz
from jaxode.interop.pytorch_layout import InteropError

Weights = dict[str, np.ndarray]
Reader = Callable[[Path], Weights]
Writer = Callable[[BinaryIO, Weights], Any]

MOST_BYTES = 2**32
"""Of a file, and of what it unpacks to."""

MOST_HEADER = 2**22
"""Bytes of a safetensors header: a thousand arrays take 200 KB."""

LONGEST_NAME = 1000

NUMPY_FLOATS = ("float16", "float32", "float64")
SAFETENSORS_TYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
}


def read_weights(path: Path, readers: Mapping[str, Reader] | None = None) -> Weights:
    """The arrays in a weight file by their names, none of it executed.

    Args:
      path: ends in .safetensors, .npz, or a key of `readers`.
      readers: how files of other endings are read, by ending; PyTorch's pickles, say.

    Raises:
      InteropError: the file is damaged, larger than it may be, or does not hold finite
        floating-point numbers under printable names.
      OSError: it cannot be read or is no regular file.

    Example:
      >>> from pathlib import Path
      >>> from tempfile import TemporaryDirectory
      >>> import numpy as np
      >>> with TemporaryDirectory() as folder:
      ...     path = Path(folder) / "weights.npz"
      ...     write_weights(path, {"1.bias": np.zeros(300, np.float32)})
      ...     {name: array.shape for name, array in read_weights(path).items()}
      {'1.bias': (300,)}
    """
    every = {".safetensors": _read_safetensors, ".npz": _read_npz} | dict(readers or {})
    if path.suffix not in every:
        raise InteropError(f"a weight file must end in one of {', '.join(every)}, got {path}")
    try:
        return checked(every[path.suffix](path), path)
    except (InteropError, OSError):
        raise
    except Exception as error:  # whatever a reader meets in damaged bytes
        if path.suffix in (readers or {}):
            raise
        raise InteropError(f"{path} is no {path.suffix} file of arrays: {_line(error)}") from error


def write_weights(
    path: Path, weights: Mapping[str, np.ndarray], writers: Mapping[str, Writer] | None = None
) -> None:
    """Write arrays into a weight file, which is whole or as it was before.

    .npz stores the 8-bit types and bfloat16 as float32, which holds their numbers exactly.

    Args:
      path: ends in .safetensors, .npz, or a key of `writers`.
      weights: floating-point arrays by name.
      writers: how files of other endings are written, by ending.

    Raises:
      InteropError: another ending.
      OSError: the file cannot be written.
    """
    every = {".safetensors": _write_safetensors, ".npz": _write_npz} | dict(writers or {})
    if path.suffix not in every:
        raise InteropError(f"a weight file must end in one of {', '.join(every)}, got {path}")
    from jaxode.runs.files import write_whole  # here, because the runs package brings Orbax

    packed = io.BytesIO()
    every[path.suffix](packed, dict(weights))
    write_whole(path, packed.getvalue())


def checked(weights: Mapping[str, np.ndarray], path: Path) -> Weights:
    """The arrays, if they are finite floating-point numbers under printable names.

    NaN and infinity are refused: every logit of such a model would be NaN.

    Raises:
      InteropError: otherwise, with the name of the array.
    """
    for name, array in weights.items():
        if not name.isprintable() or len(name) > LONGEST_NAME:
            raise InteropError(
                f"{path} must hold arrays by printable names, got {ascii(name)[:100]}"
            )
        if not jnp.issubdtype(array.dtype, jnp.floating) or array.dtype.itemsize > 8:
            raise InteropError(
                f"{path} must hold floating-point arrays, got {array.dtype} under {name!r}"
            )
        numbers = array if array.dtype.name in NUMPY_FLOATS else array.astype(np.float32)
        if not np.isfinite(numbers).all():
            raise InteropError(
                f"{path} must hold finite numbers, got NaN or infinity under {name!r}"
            )
    return dict(weights)


def _read_npz(path: Path) -> Weights:
    return read_npz(path, MOST_BYTES)


def _read_safetensors(path: Path) -> Weights:
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > MOST_BYTES:
            raise ValueError(f"it has {size} bytes, more than {MOST_BYTES}")
        contents = file.read()
    length = int.from_bytes(contents[:8], "little")
    if length > MOST_HEADER:
        raise ValueError(f"its header takes {length} bytes, more than {MOST_HEADER}")
    json.loads(contents[8 : 8 + length], object_pairs_hook=_once)
    return {
        name: np.frombuffer(entry["data"], _floating_type(name, entry["dtype"])).reshape(
            entry["shape"]
        )
        for name, entry in safetensors.deserialize(contents)  # which checks the header's numbers
    }


def _floating_type(name: str, kind: str) -> np.dtype[Any]:
    if kind not in SAFETENSORS_TYPES:
        raise ValueError(f"{name!r} is of {kind}, which is no floating-point type")
    return jnp.dtype(SAFETENSORS_TYPES[kind])


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, if no name is in it twice."""
    members: dict[str, Any] = {}
    for name, value in pairs:
        if name in members:
            raise ValueError(f"{ascii(name)[:100]} is in it twice")
        members[name] = value
    return members


def _write_safetensors(target: BinaryIO, weights: Weights) -> None:
    # Contiguous copies, for safetensors takes an array's memory as it lies.
    target.write(to_safetensors({name: np.array(a, order="C") for name, a in weights.items()}))


def _write_npz(target: BinaryIO, weights: Weights) -> None:
    """As np.savez, which has arguments of its own and can take no array of their names."""
    with zipfile.ZipFile(target, "w") as archive:
        for name, array in weights.items():
            plain = array if array.dtype.name in NUMPY_FLOATS else array.astype(np.float32)
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, plain, allow_pickle=False)


def _line(error: Exception) -> str:
    """An error's message on one line that is safe to print, or its kind where it has none."""
    text = " ".join(str(error).split())[:200] or type(error).__name__
    return text if text.isprintable() else ascii(text)[1:-1]
