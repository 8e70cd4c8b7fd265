"""PyTorch's files, read without PyTorch: the zip of today's, and the pickles of before 1.6.

Nothing in a file is run. The zip's checksums are compared, which PyTorch does not do.
"""

from __future__ import annotations

import copy
import io
import os
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from jaxode.bounded_files import open_regular
from jaxode.interop.pickle_machine import read_pickle
from jaxode.interop.pickle_objects import RefusedName
from jaxode.interop.torch_tensors import CALLS, Storage, storage_type

MOST_BYTES = 2**32
"""Of a file, and of what it unpacks to."""

MOST_PICKLED = 2**22
"""Bytes of the pickle, without the numbers: a thousand tensors take 200 KB."""

MOST_MEMBERS = 10_000

CHUNK = 1 << 20
"""Bytes read at a time where only the checksum is wanted."""

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
"""The numbers that a file of PyTorch from 0.1.10 to 1.5 begins with."""

SETTINGS = "jaxode.json"
"""A member of the zip in which jaxode keeps a model's settings; PyTorch passes over it."""


class TorchFile(NamedTuple):
    """What a file holds, and the settings that jaxode stored in it."""

    value: Any
    settings: bytes | None = None


class RefusedFile(ValueError):
    """A file of PyTorch that is not read, and why; the message does not name it."""


@contextmanager
def opened(path: Path) -> Iterator[TorchFile]:
    """Context with the object in a file of `torch.save`, whose numbers are read as they are needed.

    Args:
      path: of the file, whatever its name ends in.

    Returns:
      plain values, with a `Tensor` or `Sparse` for each of PyTorch's tensors.

    Raises:
      RefusedFile: it is no such file, is damaged or too large, or names what is not weights.
      OSError: it cannot be read, or is no regular file.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > MOST_BYTES:
            raise RefusedFile(f"it has {size} bytes, more than {MOST_BYTES}")
        start = file.read(512)
        file.seek(0)
        if start[257:262] == b"ustar":
            raise RefusedFile("it is a tar of PyTorch before 0.1.10, which is not read")
        try:
            if start.startswith(b"PK\3\4"):
                with _zip(path) as found:
                    yield found
            else:
                yield TorchFile(_from_pickles(file, size))
        except RefusedName as error:
            raise RefusedFile(
                f"it is not a file of weights alone, for it refers to {error.name}: save the"
                " model's state_dict()"
            ) from error


@contextmanager
def _zip(path: Path) -> Iterator[TorchFile]:
    from jaxode.data import archives  # here, because the data package brings its libraries

    with archives.opened(path) as archive:
        members = {member.filename: member for member in archive.infolist()}
        _require_bounded(archive.infolist(), archives.check)
        roots = [name.removesuffix("data.pkl") for name in members if name.endswith("/data.pkl")]
        if len(roots) != 1 or len(members) != len(archive.infolist()):
            raise RefusedFile("it is a zip without a data.pkl of its own, as torch.save writes one")
        (root,) = roots
        if f"{root}constants.pkl" in members:
            raise RefusedFile("it is a TorchScript program: save the module's state_dict()")
        # Without checksums, as torch.serialization.set_crc32_options(False) leaves a file.
        unchecked = not any(member.CRC for member in members.values())
        for member in members.values():
            _verify(archive, member, unchecked)

        def contents(name: str) -> bytes:
            if root + name not in members:
                raise RefusedFile(f"its {name} is missing")
            with _reading(archive, members[root + name], unchecked) as stream:
                return stream.read()

        swapped = f"{root}byteorder" in members and contents("byteorder") == b"big"

        def storage(identifier: Any) -> Storage:
            kind, named, key, _, count = identifier
            if kind != "storage" or not isinstance(key, str) or not 0 <= count <= MOST_BYTES:
                raise ValueError("it refers to what is no storage")
            return Storage(partial(contents, f"data/{key}"), storage_type(named, swapped), count)

        pickled = members[f"{root}data.pkl"].file_size
        if pickled > MOST_PICKLED:
            raise RefusedFile(f"its data.pkl has {pickled} bytes, more than {MOST_PICKLED}")
        value = read_pickle(io.BytesIO(contents("data.pkl")), CALLS, storage)
        own = f"{root}{SETTINGS}" in members
        yield TorchFile(value, contents(SETTINGS) if own else None)


def _require_bounded(
    members: list[zipfile.ZipInfo], check: Callable[[zipfile.ZipInfo, int], None]
) -> None:
    if len(members) > MOST_MEMBERS:
        raise RefusedFile(f"it has {len(members)} members, more than {MOST_MEMBERS}")
    size = sum(member.file_size for member in members)
    if size > MOST_BYTES:
        raise RefusedFile(f"it unpacks to {size} bytes, more than {MOST_BYTES}")
    for member in members:
        try:
            check(member, MOST_BYTES)
        except ValueError as error:
            raise RefusedFile(f"its {ascii(member.filename)[1:80]}: {error}") from error


def _reading(archive: zipfile.ZipFile, member: zipfile.ZipInfo, unchecked: bool) -> Any:
    if unchecked:
        member = copy.copy(member)
        del member.CRC
    return archive.open(member)


def _verify(archive: zipfile.ZipFile, member: zipfile.ZipInfo, unchecked: bool) -> None:
    """Raise RefusedFile if a member's bytes do not have its checksum."""
    try:
        with _reading(archive, member, unchecked) as stream:
            while stream.read(CHUNK):
                pass
    except Exception as error:  # another checksum, a broken stream, bytes that end early
        raise RefusedFile(f"its {ascii(member.filename)[1:-1][:80]} is damaged: {error}") from error


def _from_pickles(file: BinaryIO, size: int) -> Any:
    """Magic number, protocol, machine, object and keys, a pickle each; then the storages."""
    head = io.BytesIO(file.read(MOST_PICKLED))
    if read_pickle(head, CALLS) != MAGIC or read_pickle(head, CALLS) != PROTOCOL:
        raise RefusedFile("it is a pickle, and not one of torch.save")
    machine = read_pickle(head, CALLS)
    swapped = isinstance(machine, dict) and machine.get("little_endian") is False
    found: dict[str, Storage] = {}
    numbers: dict[str, bytes] = {}

    def storage(identifier: Any) -> Storage:
        kind, named, key, _, count, view = identifier
        if kind != "storage" or not isinstance(key, str) or not 0 <= count <= size:
            raise ValueError("it refers to what is no storage")
        whole = Storage(lambda: numbers[key], storage_type(named, swapped), count)
        found.setdefault(key, whole)
        if view is None:
            return whole
        _, first, length = view
        width = whole.dtype.itemsize
        part = slice(first * width, (first + length) * width)
        return Storage(lambda: numbers[key][part], whole.dtype, length)

    value = read_pickle(head, CALLS, storage)
    keys = read_pickle(head, CALLS)
    file.seek(head.tell())
    for key in keys:
        if key not in found:
            raise RefusedFile("it has numbers of no tensor")
        count = int.from_bytes(file.read(8), "little")
        numbers[key] = file.read(found[key].count * found[key].dtype.itemsize)
        if count != found[key].count:
            raise RefusedFile("it ends early, or announces other numbers than it has")
    if found.keys() - numbers.keys():
        raise RefusedFile("it ends early: the numbers of a tensor are missing")
    return value
