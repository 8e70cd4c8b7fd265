"""The text records of a folder or a tar archive, which is read in memory and never extracted."""

from __future__ import annotations

import gzip
import io
import lzma
import re
import tarfile
from pathlib import Path, PurePosixPath

from jaxode.checks import ConfigError, one_line
from jaxode.data import regular
from jaxode.data.regular import printable
from jaxode.data.specs import DataError

MOST_RECORD = 2**20
"""Bytes of a record; PhysioNet's longest has 23,826."""

MOST_BYTES = 2**28
"""Of all records, and of an archive, packed and unpacked; a set of PhysioNet's has 28 MB."""

MOST_DICTIONARY = 2**28
"""Bytes of memory that an xz archive may ask for."""

XZ, GZIP = b"\xfd7zXZ\x00", b"\x1f\x8b"

END = bytes(1024)
"""Two blocks of zeros end a tar archive."""

RECORD = re.compile(r"([0-9]{1,9})\.txt", re.ASCII)


def record_files(source: Path) -> dict[int, bytes]:
    """The contents of all files NUMBER.txt, by number, in its order; other files are passed over.

    Args:
      source: a folder, or an archive .tar.xz, .tar.gz or .tar.

    Raises:
      ConfigError: it cannot be read.
      DataError: a file that is too large, a damaged archive, or one with a member that is neither
        a file nor a folder, or leads out of it.
    """
    try:
        found = _of_folder(source) if source.is_dir() else _of_archive(source)
    except OSError as error:
        raise ConfigError(f"cannot read {source}: {one_line(error)}") from error
    if not found:
        raise DataError(f"{source} holds no record, a file such as 132539.txt")
    return dict(sorted(found.items()))


def _of_folder(folder: Path) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    total = 0
    for path in folder.iterdir():
        if RECORD.fullmatch(path.name):
            content = regular.contents(path, MOST_RECORD)
            total += len(content)
            if total > MOST_BYTES:
                raise DataError(f"{folder}: the records have more than {MOST_BYTES} bytes")
            _add(found, path.name, content, folder)
    return found


def _of_archive(path: Path) -> dict[int, bytes]:
    packed = regular.contents(path, MOST_BYTES)
    try:
        unpacked = _unpacked(packed)
    except Exception as error:  # whatever gzip and lzma meet in damaged bytes
        raise DataError(f"{path} cannot be unpacked: {one_line(error)}") from error
    if len(unpacked) > MOST_BYTES:
        raise DataError(f"{path} unpacks to more than {MOST_BYTES} bytes")
    if not unpacked.endswith(END):  # tarfile would read what is left of a cut archive
        raise DataError(f"{path} is no whole tar archive: it ends early")
    found: dict[int, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(unpacked), mode="r:") as archive:
            for member in archive:
                content = _content(archive, member)
                if content is not None:
                    _add(found, PurePosixPath(member.name).name, content, path)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    except Exception as error:  # whatever tarfile meets in damaged bytes
        raise DataError(f"{path} is no whole tar archive: {one_line(error)}") from error
    return found


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes | None:
    """What a member holds; None of a folder and of a file that is no record."""
    name, place = printable(member.name), PurePosixPath(member.name)
    if place.is_absolute() or ".." in place.parts:
        raise DataError(f"{name}: the name leads out of the archive")
    if member.isdir():
        return None
    if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
        raise DataError(f"{name} must be a file or a folder, and is a link, device or the like")
    if member.size > MOST_RECORD:
        raise DataError(f"{name} has {member.size} bytes, more than {MOST_RECORD}")
    if not RECORD.fullmatch(place.name):
        return None
    stream = archive.extractfile(member)
    content = b"" if stream is None else stream.read()
    if len(content) != member.size:
        raise DataError(f"{name} ends early")
    return content


def _add(found: dict[int, bytes], name: str, content: bytes, source: Path) -> None:
    number = int(name.removesuffix(".txt"))
    if number in found:
        raise DataError(f"{source} holds record {number} twice")
    found[number] = content


def _unpacked(packed: bytes) -> bytes:
    """What the bytes unpack to, or little more than `MOST_BYTES` of it."""
    if packed.startswith(GZIP):
        return gzip.GzipFile(fileobj=io.BytesIO(packed)).read(MOST_BYTES + 1)
    if not packed.startswith(XZ):
        return packed
    parts, size = [], 0
    while packed.startswith(XZ) and size <= MOST_BYTES:  # an archive may be of several streams
        stream = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MOST_DICTIONARY)
        while not stream.eof and size <= MOST_BYTES:
            parts.append(stream.decompress(packed, MOST_BYTES + 1 - size))
            packed = b""
            size += len(parts[-1])
            if not parts[-1] and stream.needs_input and not stream.eof:
                raise EOFError("it ends early")
        packed = stream.unused_data
    return b"".join(parts)
