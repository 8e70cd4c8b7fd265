"""PyTorch's tensors as a pickle describes them: views of storages, read when they are asked for."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxode.interop.pickle_machine import Calls
from jaxode.interop.pickle_objects import Named, Opaque, Record

STORAGES = {
    "DoubleStorage": "float64", "FloatStorage": "float32", "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16", "LongStorage": "int64", "IntStorage": "int32",
    "ShortStorage": "int16", "CharStorage": "int8", "ByteStorage": "uint8", "BoolStorage": "bool",
    "ComplexFloatStorage": "complex64", "ComplexDoubleStorage": "complex128",
    "UntypedStorage": "uint8",
}  # fmt: skip
"""Type of a storage's numbers, by the name of its class in PyTorch."""

DTYPES = (
    "float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "int64", "int32",
    "int16", "int8", "uint8", "bool", "complex64", "complex128",
)  # fmt: skip
"""Types of tensors that PyTorch and JAX have under the same name."""

MOST_DIMENSIONS = 64
"""Of NumPy's arrays."""


@dataclass(frozen=True)
class Storage:
    """Numbers in a row, which several tensors may share.

    Args:
      read: returns their bytes, once they are needed.
      dtype: of a number.
      count: how many the pickle says there are.
    """

    read: Callable[[], bytes]
    dtype: np.dtype[Any]
    count: int

    def numbers(self, dtype: np.dtype[Any], offset: int) -> np.ndarray:
        """The numbers from a place on, as another type where the storage has none of its own."""
        contents = self.read()
        announced = self.count * self.dtype.itemsize
        if len(contents) != announced:
            raise ValueError(f"it announces {announced} bytes and has {len(contents)}")
        whole = len(contents) // dtype.itemsize * dtype.itemsize
        return np.frombuffer(contents[:whole], dtype)[offset:]


@dataclass(frozen=True)
class Tensor:
    """A view of a storage, not read yet.

    Args:
      storage: the numbers.
      offset: place of the first number.
      shape: of the tensor.
      strides: numbers from one index to the next, axis by axis; 0 where one is repeated.
      dtype: of a number.
      negated: whether the storage has the numbers with the other sign.
    """

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: np.dtype[Any]
    negated: bool = False

    @property
    def nbytes(self) -> int:
        """What the array takes, which can be more than the storage has: one number, repeated."""
        return math.prod(self.shape) * self.dtype.itemsize

    def array(self) -> np.ndarray:
        """The numbers, in memory of their own and the machine's order of bytes.

        Raises:
          ValueError: the storage has fewer.
        """
        numbers = self.storage.numbers(self.dtype, self.offset)
        last = sum((size - 1) * step for size, step in zip(self.shape, self.strides, strict=True))
        if math.prod(self.shape) and last >= len(numbers):
            raise ValueError(f"it reaches number {self.offset + last + 1} of {self.storage.count}")
        steps = [step * self.dtype.itemsize for step in self.strides]
        view = np.lib.stride_tricks.as_strided(numbers, self.shape, steps, writeable=False)
        array = np.array(view, self.dtype.newbyteorder("="), order="C")
        return -array if self.negated else array


@dataclass(frozen=True)
class Sparse:
    """A sparse tensor in coordinate format: indices [D, N] and values [N, ...]."""

    indices: Tensor
    values: Tensor
    shape: tuple[int, ...]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of a number."""
        return self.values.dtype

    @property
    def nbytes(self) -> int:
        """What the dense array takes."""
        return math.prod(self.shape) * self.dtype.itemsize

    def array(self) -> np.ndarray:
        """The dense array; values of the same place add up. Raises ValueError."""
        indices, values = self.indices.array(), self.values.array()
        axes = len(indices)
        limits = np.array(self.shape[:axes]).reshape(-1, 1)
        outside = bool((indices < 0).any() or (indices >= limits).any())
        if indices.ndim != 2 or outside or values.shape != (
            indices.shape[1], *self.shape[axes:]
        ):  # fmt: skip
            raise ValueError("its indices are not those of its shape")
        dense = np.zeros(self.shape, values.dtype)
        np.add.at(dense, tuple(indices), values)
        return dense


def storage_type(named: Any, swapped: bool) -> np.dtype[Any]:
    """Type of a storage's numbers by its class in PyTorch. Raises ValueError."""
    name = named.name.rpartition(".")[2] if isinstance(named, Named) else ""
    if name not in STORAGES:
        raise ValueError("it has a storage of no known type")
    dtype = jnp.dtype(STORAGES[name])
    return dtype.newbyteorder(">") if swapped else dtype


def rebuilt(storage: Any, offset: Any, shape: Any, strides: Any, *rest: Any) -> Tensor:
    """`torch._utils._rebuild_tensor_v2`, and `_v3`, which has the type before its last argument."""
    whole = [offset, *shape, *strides]
    if not isinstance(storage, Storage) or any(type(n) is not int or n < 0 for n in whole):
        raise ValueError("a tensor has no storage, or sizes that are no numbers")
    if len(shape) != len(strides) or len(shape) > MOST_DIMENSIONS:
        raise ValueError(f"a tensor has {len(shape)} sizes and {len(strides)} strides")
    dtype = storage.dtype
    if len(rest) > 2 and isinstance(rest[2], Named):
        own = jnp.dtype(rest[2].name.removeprefix("torch."))
        dtype = own.newbyteorder(">") if dtype.byteorder == ">" else own
    negated = isinstance(rest[-1], dict) and rest[-1].get("neg") is True if rest else False
    return Tensor(storage, offset, tuple(shape), tuple(strides), dtype, negated)


def _parameter(tensor: Any, *_: Any) -> Any:
    return tensor


def _typed(function: Any, kind: Any, arguments: Any, state: Any) -> Any:
    """A tensor with attributes, which are left out."""
    if not isinstance(function, Named):
        raise ValueError("a tensor is made by what is no function")
    return CALLS[function.name](*arguments)


def _sparse(layout: Any, data: Any) -> Sparse:
    if layout != "torch.sparse_coo":
        raise ValueError(f"a tensor is in the format {layout}: store .to_dense() of it")
    indices, values, shape = data[:3]
    if not (isinstance(indices, Tensor) and isinstance(values, Tensor)):
        raise ValueError("a sparse tensor has no indices")
    return Sparse(indices, values, tuple(shape))


def _on_no_device(*_: Any) -> Any:
    raise ValueError("a tensor is on the device meta, which has no numbers")


def _encoded(text: str, encoding: str) -> bytes:
    return text.encode("latin1")


RECORDS = (
    "argparse.Namespace",
    "pytorch_lightning.utilities.parsing.AttributeDict",
    "lightning_fabric.utilities.data.AttributeDict",
    "lightning.fabric.utilities.data.AttributeDict",
)
"""Classes whose objects have attributes and run nothing when they are made."""

OPAQUE = (
    "numpy.dtype", "numpy.ndarray", "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar", "numpy.core.multiarray._reconstruct",
    "numpy._core.multiarray._reconstruct", "pathlib.PosixPath", "pathlib.WindowsPath",
    "pathlib.PurePosixPath", "pathlib.PureWindowsPath", "pathlib._local.PosixPath",
    "pathlib._local.WindowsPath", "datetime.datetime", "datetime.timedelta", "torch.device",
    "torch.Generator", "torch.nn.parameter.Parameter", "torch.Tensor", "torch._tensor.Tensor",
)  # fmt: skip
"""Values that stand beside weights in checkpoints, and of which nothing is needed."""

CALLS: Calls = {
    "torch._utils._rebuild_tensor": rebuilt,
    "torch._utils._rebuild_tensor_v2": rebuilt,
    "torch._utils._rebuild_tensor_v3": rebuilt,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    "torch._tensor._rebuild_from_type_v2": _typed,
    "torch._utils._rebuild_sparse_tensor": _sparse,
    "torch._utils._rebuild_meta_tensor_no_storage": _on_no_device,
    "torch.serialization._get_layout": lambda name: name,
    "torch.Size": lambda sizes=(): tuple(sizes),
    "collections.OrderedDict": lambda pairs=(): dict(pairs),
    "collections.defaultdict": lambda *_: {},
    "collections.Counter": lambda pairs=(): dict(pairs),
    "_codecs.encode": _encoded,
    **{f"{room}.{name}": Opaque for room in ("builtins", "__builtin__")
       for name in ("set", "frozenset", "dict", "list", "int", "float", "complex", "slice")},
    **{name: lambda *_: Record() for name in RECORDS},
    **{f"torch.{dtype}": Opaque for dtype in DTYPES},
    **{f"{room}.{name}": Opaque for room in ("torch", "torch.cuda", "torch.storage")
       for name in STORAGES},
    **dict.fromkeys(OPAQUE, Opaque),
}  # fmt: skip
"""All that a file of weights may name."""
