"""Weight files by their ending: .safetensors, .npz, and PyTorch's .pt, .pth, .ckpt and .bin.

Weights are a dict of NumPy arrays here, and PyTorch need not be installed. Files may come from
anywhere: sizes are compared with bounds before anything is read, and nothing in a pickle is run.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import safetensors

from jaxode.bounded_files import open_regular
from jaxode.checks import one_line
from jaxode.interop import torch_files
from jaxode.interop.checkpoints import bare_names, state_dict_of
from jaxode.interop.npz import read_npz
from jaxode.interop.pytorch_layout import InteropError
from jaxode.interop.weight_bytes import METADATA, NUMPY_FLOATS, WRITERS, Weights

MOST_BYTES = 2**32
"""Of a file, and of what it unpacks to."""

MOST_HEADER = 2**22
"""Bytes of a safetensors header: a thousand arrays take 200 KB."""

LONGEST_NAME = 1000

MOST_NAMED = 3
"""Arrays named in a message."""

SAFETENSORS_TYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
}


class WeightFile(NamedTuple):
    """What a weight file holds.

    Args:
      weights: arrays by name, floating-point and finite.
      settings: the JSON text that jaxode stored with them; None in other programs' files.
      flags: those of the program that saved a PyTorch checkpoint, from its `args`; None without.
      notes: what was left out or renamed, a line each.
    """

    weights: Weights
    settings: str | None = None
    flags: Mapping[str, Any] | None = None
    notes: tuple[str, ...] = ()


def read_weight_file(path: Path) -> WeightFile:
    """The arrays in a weight file by their names, and what the file says of them.

    Of a PyTorch checkpoint the state_dict is found under the usual keys, names lose the prefixes of
    `nn.DataParallel`, `torch.compile` and Lightning, and optimizer states are passed over.

    Args:
      path: ends in .safetensors, .npz, .pt, .pth, .ckpt, .bin or .tar (as .pth.tar does).

    Raises:
      InteropError: the file is damaged, larger than it may be, or does not hold finite
        floating-point numbers under printable names.
      OSError: it cannot be read or is no regular file.
    """
    if path.suffix not in READERS:
        raise InteropError(f"a weight file must end in one of {', '.join(READERS)}, got {path}")
    try:
        found = READERS[path.suffix](path)
        return found._replace(weights=_checked(found.weights))
    except OSError:
        raise
    except torch_files.RefusedFile as error:
        raise InteropError(f"{path} is refused: {one_line(error)}") from error
    except NotWeightsError as error:
        raise InteropError(f"{path} {error}") from error
    except Exception as error:  # whatever a reader meets in damaged bytes
        raise InteropError(f"{path} is no {path.suffix} file of arrays: {_line(error)}") from error


def read_weights(path: Path) -> Weights:
    """The arrays in a weight file by their names, none of it executed.

    Args and Raises: as of `read_weight_file`.

    Example:
      >>> from pathlib import Path
      >>> from tempfile import TemporaryDirectory
      >>> import numpy as np
      >>> with TemporaryDirectory() as folder:
      ...     path = Path(folder) / "weights.pt"
      ...     write_weights(path, {"1.bias": np.zeros(300, np.float32)})
      ...     {name: array.shape for name, array in read_weights(path).items()}
      {'1.bias': (300,)}
    """
    return read_weight_file(path).weights


def write_weights(
    path: Path, weights: Mapping[str, np.ndarray], settings: str | None = None
) -> None:
    """Write arrays into a weight file, which is whole or as it was before.

    .npz stores the 8-bit types and bfloat16 as float32, which holds their numbers exactly.

    Args:
      path: ends in .safetensors, .npz, .pt or .pth.
      weights: floating-point arrays by name.
      settings: a JSON text to store with them.

    Raises:
      InteropError: another ending.
      OSError: the file cannot be written.
    """
    if path.suffix not in WRITERS:
        raise InteropError(f"a weight file must end in one of {', '.join(WRITERS)}, got {path}")
    from jaxode.runs.files import write_whole  # here, because the runs package brings Orbax

    write_whole(path, WRITERS[path.suffix](dict(weights), settings))


class NotWeightsError(ValueError):
    """Arrays that are no weights; the message follows the name of the file."""


def _checked(weights: Weights) -> Weights:
    """The arrays, if they are finite floating-point numbers under printable names.

    NaN and infinity are refused: every logit of such a model would be NaN.

    Raises:
      NotWeightsError: otherwise, with the names of the arrays.
    """
    for name, array in weights.items():
        if not name.isprintable() or len(name) > LONGEST_NAME:
            shown = ascii(name)[:100]
            raise NotWeightsError(f"must hold arrays by printable names, got {shown}")
        if not jnp.issubdtype(array.dtype, jnp.floating) or array.dtype.itemsize > 8:
            kind = array.dtype
            raise NotWeightsError(f"must hold floating-point arrays, got {kind} under {name!r}")
    bad = {name: text for name, array in weights.items() if (text := _not_finite(array))}
    if bad:
        first = [f"{name!r} has {text}" for name, text in list(bad.items())[:MOST_NAMED]]
        more = f", and {len(bad) - len(first)} more arrays" if len(bad) > len(first) else ""
        raise NotWeightsError(f"must hold finite numbers: {', '.join(first)}{more}")
    return weights


def _not_finite(array: np.ndarray) -> str:
    """How many numbers of an array are NaN or infinite; empty if none."""
    numbers = array if array.dtype.name in NUMPY_FLOATS else array.astype(np.float32)
    nans, infinite = int(np.isnan(numbers).sum()), int(np.isinf(numbers).sum())
    counts = [f"{n:,} {word}" for n, word in ((nans, "NaN"), (infinite, "infinite")) if n]
    return f"{' and '.join(counts)} of {array.size:,} numbers" if counts else ""


def _own_or_foreign(weights: Weights, settings: str | None) -> WeightFile:
    """Arrays of jaxode's under their names, those of other programs without prefixes."""
    if settings is not None:
        return WeightFile(weights, settings)
    weights, notes = bare_names(weights)
    return WeightFile(weights, notes=tuple(notes))


def _read_torch(path: Path) -> WeightFile:
    with torch_files.opened(path) as found:
        try:
            weights, flags, notes = state_dict_of(found.value)
        except ValueError as error:
            raise torch_files.RefusedFile(str(error)) from error
        settings = None if found.settings is None else found.settings.decode()
    return WeightFile(weights, settings, flags, notes)


def _read_npz(path: Path) -> WeightFile:
    weights, settings = read_npz(path, MOST_BYTES)
    return _own_or_foreign(weights, None if settings is None else settings.decode())


def _read_safetensors(path: Path) -> WeightFile:
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > MOST_BYTES:
            raise ValueError(f"it has {size} bytes, more than {MOST_BYTES}")
        contents = file.read()
    length = int.from_bytes(contents[:8], "little")
    if length > MOST_HEADER:
        raise ValueError(f"its header takes {length} bytes, more than {MOST_HEADER}")
    header = json.loads(contents[8 : 8 + length], object_pairs_hook=_once)
    entries = dict(safetensors.deserialize(contents))  # which checks the header's numbers
    arrays = {
        name: np.frombuffer(entries[name]["data"], _type(name, entries[name]["dtype"])).reshape(
            entries[name]["shape"]
        )
        for name in header  # the order of the file
        if name != "__metadata__"
    }
    return _own_or_foreign(arrays, header.get("__metadata__", {}).get(METADATA))


def _type(name: str, kind: str) -> np.dtype[Any]:
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


READERS: dict[str, Callable[[Path], WeightFile]] = {
    ".safetensors": _read_safetensors,
    ".npz": _read_npz,
    **dict.fromkeys((".pt", ".pth", ".ckpt", ".bin", ".tar"), _read_torch),
}
"""How a file is read, by its ending."""


def _line(error: Exception) -> str:
    """An error's message on one line that is safe to print, or its kind where it has none."""
    text = " ".join(str(error).split())[:200] or type(error).__name__
    return text if text.isprintable() else ascii(text)[1:-1]
