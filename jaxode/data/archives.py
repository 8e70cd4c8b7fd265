"""Zips opened with bounds: on their list of members, on how each is packed, and on its size."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path, PurePosixPath

from jaxode.data import regular
from jaxode.data.regular import printable
from jaxode.data.specs import DataError

MOST_DIRECTORY = 2**25
"""Bytes of the list of members: three times what 87,000 pictures take.

A short entry takes 50 bytes there and 700 in memory.
"""

PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Ways of packing that are read.

Zips hardly use bzip2, of which Python unpacks 4 KB at a time, without a bound: they can hold
gigabytes.
"""

ENCRYPTED = 0x1
"""A bit of a member's flags."""


class _Source(io.BufferedReader):
    """A zip's file. The list of members is read in one call, refused if it asks for too much."""

    most: int | None = MOST_DIRECTORY

    def read(self, size: int | None = -1, /) -> bytes:
        if self.most is not None and size is not None and size > self.most:
            too_long = f"the list of its members takes {size} bytes, more than {self.most}"
            raise zipfile.BadZipFile(too_long)
        return super().read(size)


@contextmanager
def opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """A zip for reading. Raises DataError if it is none, or its list of members cannot be read."""
    try:
        source = _Source(io.FileIO(path, opener=regular.descriptor))
    except OSError as error:
        raise DataError(f"{printable(path)} cannot be read: {error.strerror}") from error
    with closing(source):
        try:
            archive = zipfile.ZipFile(source)
        except UnicodeDecodeError as error:
            raise DataError(
                f"{printable(path)} has a member whose name is no UTF-8: {_start(error.object)}",
            ) from error
        except Exception as error:  # whatever its reader meets in damaged bytes
            raise DataError(f"{printable(path)} is no whole zip: {_line(error)}") from error
        source.most = None
        with archive:
            yield archive


def check(member: zipfile.ZipInfo, most: int) -> None:
    """Raise DataError if a member cannot be read: before any is, by what the list says of it."""
    place = PurePosixPath(member.filename)
    if place.is_absolute() or ".." in place.parts:
        raise DataError("its name leads out of the zip")
    if member.flag_bits & ENCRYPTED:
        raise DataError("it is encrypted")
    if member.compress_type not in PACKED:
        method = member.compress_type
        raise DataError(f"it must be stored or deflated, and is packed by method {method}")
    if member.file_size > most:
        raise DataError(f"it has {member.file_size} bytes, more than {most}")


def contents(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    """The bytes of a member, at most `most`, whatever the list says of it. Raises DataError."""
    try:
        check(archive.getinfo(name), most)
        with archive.open(name) as member:
            read = member.read(most + 1)
    except DataError:
        raise
    except Exception as error:  # another checksum, a broken stream, bytes that end early
        raise DataError(_line(error)) from error
    if len(read) > most:
        raise DataError(f"it unpacks to more than {most} bytes")
    return read


def _line(error: Exception) -> str:
    return printable(" ".join(str(error).split()) or type(error).__name__)


def _start(name: bytes) -> str:
    return repr(name[:60]).removeprefix("b")
