"""A state_dict as the bytes of `torch.save`, written without PyTorch."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections.abc import Mapping

import numpy as np

from jaxode.interop.torch_files import SETTINGS

STORAGES = {
    "float64": "DoubleStorage",
    "float32": "FloatStorage",
    "float16": "HalfStorage",
    "bfloat16": "BFloat16Storage",
}
"""Classes of storages; numbers of 8 bits stand in one without a type."""

ROOT = "archive"
"""The folder in the zip that holds all members."""

ALIGNMENT = 64
"""Bytes; so that torch.load(mmap=True) can use the numbers where they lie."""


def torch_bytes(weights: Mapping[str, np.ndarray], settings: bytes | None = None) -> bytes:
    """The bytes of `torch.save` of a dict of tensors, which `torch.load` reads.

    Args:
      weights: floating-point arrays by name.
      settings: a member of the zip that PyTorch passes over.

    Example:
      >>> import numpy as np
      >>> from jaxode.interop.torch_writer import torch_bytes
      >>> torch_bytes({"1.bias": np.zeros(3, np.float32)})[:2]
      b'PK'
    """
    arrays = {name: np.array(array, order="C") for name, array in weights.items()}
    members = {"data.pkl": _pickled(arrays), "byteorder": b"little", "version": b"3\n"}
    if settings is not None:
        members[SETTINGS] = settings
    for key, array in enumerate(arrays.values()):
        members[f"data/{key}"] = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in members.items():
            archive.writestr(_entry(f"{ROOT}/{name}", target.tell()), content)
    return target.getvalue()


def _entry(name: str, place: int) -> zipfile.ZipInfo:
    """A member whose content begins at a multiple of ALIGNMENT, by an extra field of zeros."""
    header = 30 + len(name.encode()) + 4
    entry = zipfile.ZipInfo(name)  # of 1980, so that equal weights are equal files
    gap = -(place + header) % ALIGNMENT
    entry.extra = b"FB" + struct.pack("<H", gap) + bytes(gap)
    return entry


def _pickled(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Protocol 2: a dict of calls of `_rebuild_tensor`, each on a storage with a persistent id."""
    steps = [pickle.PROTO, b"\2", pickle.EMPTY_DICT]
    for key, (name, array) in enumerate(arrays.items()):
        steps += [_plain(name), *_tensor(str(key), array), pickle.SETITEM]
    return b"".join([*steps, pickle.STOP])


def _tensor(key: str, array: np.ndarray) -> list[bytes]:
    kind = array.dtype.name
    typed = kind in STORAGES
    count = array.size if typed else array.nbytes
    storage = _named("torch", STORAGES[kind]) if typed else _named("torch.storage",
                                                                   "UntypedStorage")  # fmt: skip
    strides = tuple(step // array.itemsize for step in array.strides)
    return [
        _named("torch._utils", "_rebuild_tensor_v2" if typed else "_rebuild_tensor_v3"),
        pickle.MARK,
        *(pickle.MARK, _plain("storage"), storage, _plain(key), _plain("cpu"), _plain(count)),
        *(pickle.TUPLE, pickle.BINPERSID, _plain(0), _plain(array.shape), _plain(strides)),
        *(pickle.NEWFALSE, _named("collections", "OrderedDict"), pickle.EMPTY_TUPLE, pickle.REDUCE),
        *(() if typed else (_named("torch", kind),)),
        *(pickle.TUPLE, pickle.REDUCE),
    ]


def _plain(value: str | int | tuple[int, ...]) -> bytes:
    """The steps that push a value; those of a pickle of it, without its first and last."""
    if isinstance(value, tuple):
        return b"".join([pickle.MARK, *map(_plain, value), pickle.TUPLE])
    if isinstance(value, str):
        text = value.encode()
        return pickle.BINUNICODE + struct.pack("<I", len(text)) + text
    return pickle.dumps(int(value), 2)[2:-1]


def _named(module: str, name: str) -> bytes:
    return pickle.GLOBAL + f"{module}\n{name}\n".encode()
