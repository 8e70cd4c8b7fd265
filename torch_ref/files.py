"""Files of arrays, examined before they are read: sizes, kinds, and how deep a pickle is nested."""

from __future__ import annotations

import copy
import io
import math
import os
import pickletools
import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

MOST_BYTES = 2**32
"""Of a file, and of what it unpacks to."""

MOST_HEADER = 2**22
"""Bytes of what describes the arrays, without their numbers: a thousand arrays take 200 KB."""

MOST_MEMBERS = 10_000

CHUNK = 1 << 20
"""Bytes read at a time where only the checksum is wanted."""

MOST_OPCODES = 10**6
DEEPEST = 100
"""Levels of a pickle. Python hashes tuples by recursion in C: 300,000 levels end the process."""

PICKLES = 5
"""At the beginning of a file of PyTorch before 1.6; the numbers follow."""

ENCRYPTED = 0x1
PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Ways of packing that NumPy and PyTorch write, unpacked no further than requested."""

GETS = ("GET", "BINGET", "LONG_BINGET")
PUTS = ("PUT", "BINPUT", "LONG_BINPUT")
FILLS = ("APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS", "BUILD")
"""Opcodes that put things into what lies below them."""


class FileError(ValueError):
    """A file that is not read, and why; the message does not name it."""


class _Source(io.BufferedReader):
    """A file whose single reads can be bounded."""

    most: int | None = None

    def read(self, size: int | None = -1, /) -> bytes:
        if self.most is not None and size is not None and size > self.most:
            raise FileError(f"its list of members takes {size} bytes, more than {self.most}")
        return super().read(size)


@contextmanager
def opened(path: Path) -> Iterator[_Source]:
    """A regular file of at most MOST_BYTES for reading. Raises FileError for another, OSError."""
    # Without O_NONBLOCK, opening a pipe waits for somebody who writes into it.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise FileError("it is no regular file")
        if found.st_size > MOST_BYTES:
            raise FileError(f"it has {found.st_size} bytes, more than {MOST_BYTES}")
        with _Source(io.FileIO(descriptor, closefd=False)) as file:
            yield file
    finally:
        os.close(descriptor)


@contextmanager
def _archive(file: _Source) -> Iterator[zipfile.ZipFile]:
    file.most = MOST_HEADER  # the list of members is read in one call
    try:
        archive = zipfile.ZipFile(file)
    except FileError:
        raise
    except Exception as error:  # whatever its reader meets in damaged bytes
        raise FileError(f"it is no whole zip: {line(error)}") from error
    file.most = None
    with archive:
        yield archive


def _members(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    members = archive.infolist()
    if len(members) > MOST_MEMBERS:
        raise FileError(f"it has {len(members)} members, more than {MOST_MEMBERS}")
    for member in members:
        if member.flag_bits & ENCRYPTED or member.compress_type not in PACKED:
            raise FileError(f"{_shown(member.filename)} must be stored or deflated, not encrypted")
    size = sum(member.file_size for member in members)
    if size > MOST_BYTES:
        raise FileError(f"it unpacks to {size} bytes, more than {MOST_BYTES}")
    return members


def _unpacked(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    with _reading(archive, member) as stream:
        return stream.read(member.file_size + 1)


def _verify(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """Raise FileError if a member's bytes do not have its checksum; PyTorch does not check."""
    with _reading(archive, member) as stream:
        while stream.read(CHUNK):
            pass


@contextmanager
def _reading(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[IO[bytes]]:
    if (
        not member.CRC
    ):  # PyTorch's way of leaving checksums out (set_crc32_options), which zipfile would miss
        member = copy.copy(member)
        del member.CRC
    try:
        with archive.open(member) as stream:
            yield stream
    except Exception as error:  # another checksum, a broken stream, bytes that end early
        raise FileError(f"{_shown(member.filename)} cannot be unpacked: {line(error)}") from error


def arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of numbers in a .npz file, by name. Raises FileError, OSError."""
    found: dict[str, np.ndarray] = {}
    with opened(path) as file, _archive(file) as archive:
        for member in _members(archive):
            name = member.filename.removesuffix(".npy")
            if name in found:
                raise FileError(f"{_shown(name)} is in it twice")
            try:
                found[name] = _array(_unpacked(archive, member))
            except FileError:
                raise
            except Exception as error:  # NumPy's errors for a damaged header
                raise FileError(f"{_shown(name)} is no array: {line(error)}") from error
    return found


def _array(contents: bytes) -> np.ndarray:
    """The array of a .npy file, if its header announces as many bytes as there are."""
    stream = io.BytesIO(contents)
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"its version is {version}")
    first = version == (1, 0)
    header = np.lib.format.read_array_header_1_0 if first else np.lib.format.read_array_header_2_0
    shape, by_columns, dtype = header(stream)
    if dtype.kind not in "biuf":
        raise ValueError(f"it is of {dtype}")
    start = stream.tell()
    size = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or size != len(contents) - start:
        raise ValueError(f"it announces {shape} of {dtype} and has {len(contents) - start} bytes")
    array = np.frombuffer(contents, dtype, offset=start)
    # A copy, for PyTorch wants memory that can be written to, and the machine's order of bytes.
    native = array.astype(dtype.newbyteorder("="))
    return native.reshape(shape, order="F" if by_columns else "C")


def examine(path: Path) -> None:
    """Raise FileError if a file of PyTorch is damaged, too large or nested too deeply.

    Raises OSError if it cannot be read.

    Only what `torch.load` does not find out by itself, or not without harm.
    """
    with opened(path) as file:
        if file.read(4) != b"PK\3\4":  # as torch.load distinguishes the two kinds of file
            file.seek(0)
            _examine_pickles(file.read(MOST_HEADER), PICKLES)
            return
        with _archive(file) as archive:
            for member in _members(archive):
                if not member.filename.endswith(".pkl"):
                    _verify(archive, member)
                    continue
                if member.file_size > MOST_HEADER:
                    allowed = f"{member.file_size} bytes, more than {MOST_HEADER}"
                    raise FileError(f"{_shown(member.filename)} has {allowed}")
                _examine_pickles(_unpacked(archive, member), 1)


def _examine_pickles(contents: bytes, count: int) -> None:
    stream = io.BytesIO(contents)
    try:
        for _ in range(count):
            _examine_pickle(stream)
    except FileError:
        raise
    except Exception as error:  # pickletools' errors for bytes that are no pickle
        raise FileError(f"it is no whole pickle: {line(error)}") from error


def _examine_pickle(stream: io.BytesIO) -> None:
    """Follow the stack of a pickle's machine, with each object's depth in its place."""
    stack: list[int] = []
    marks: list[int] = []
    memo: dict[Any, int] = {}
    for count, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
        if count == MOST_OPCODES:
            raise FileError(f"it is a pickle of more than {MOST_OPCODES} steps")
        if opcode.name == "MARK":
            marks.append(len(stack))
        elif opcode.name in GETS:
            stack.append(memo[argument])
        elif opcode.name in PUTS:
            memo[argument] = stack[-1]
        elif opcode.name == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        else:
            _step(opcode, stack, marks)


def _step(opcode: pickletools.OpcodeInfo, stack: list[int], marks: list[int]) -> None:
    """Pop an opcode's arguments from the stack and push its results, one level deeper."""
    consumed = opcode.stack_before
    marked = pickletools.markobject in consumed
    below = consumed.index(pickletools.markobject) if marked else len(consumed)
    start = (marks.pop() if marked else len(stack)) - below
    if start < 0:
        raise ValueError(f"{opcode.name} finds too little on the stack")
    objects = stack[start:]
    del stack[start:]
    own = objects.pop(0) if opcode.name in FILLS else 0
    depth = max(own, 1 + max(objects, default=-1))
    if opcode.stack_after and depth > DEEPEST:
        raise FileError(f"it is nested more than {DEEPEST} levels deep")
    stack.extend([depth] * len(opcode.stack_after))


def line(error: Exception) -> str:
    """An error's message on one printable line, or its type where it has none."""
    text = " ".join(str(error).split())[:200] or type(error).__name__
    return text if text.isprintable() else ascii(text)[1:-1]


def _shown(name: str) -> str:
    return name if name.isprintable() and len(name) < 100 else ascii(name)[:100]
