"""TensorBoard's event files of a run that goes on: what came after its checkpoint is taken out.

A file is a sequence of records: the length of the data (8 bytes, little-endian), a checksum of the
length (4), the data, which is an `Event` message, a checksum of the data (4). Records are copied
as they are, so no checksum is made here.

Source: TensorFlow, tensorflow/core/lib/io/record_writer.h.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from jaxode.bounded_files import open_regular
from jaxode.runs.files import writing_whole

EVENT_FILES = "events.out.tfevents.*"

HEAD, TAIL = 12, 4
"""Bytes before and after the data of a record."""

LARGEST = 1 << 24
"""Bytes of a record; a larger number means that the file is damaged there."""


def records(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """Each whole record, and the data in it, up to where the file ends or is damaged."""
    while len(head := file.read(HEAD)) == HEAD:
        (length,) = struct.unpack("<Q", head[:8])
        if length > LARGEST:
            return
        rest = file.read(length + TAIL)
        if len(rest) != length + TAIL:
            return
        yield head + rest, rest[:length]


def keep_events(directory: Path, parse: Callable[[bytes], Any], keep: Callable[[Any], bool]) -> int:
    """Take the events out of the files of a directory that are not to be kept.

    Where a file is damaged, the rest of it is left out too.

    Args:
        directory: with event files, or none.
        parse: bytes → `Event`; raises an exception if they are none.
        keep: whether an event is to be kept.

    Returns:
        How many events were left out.

    Raises:
        OSError: a file could not be read or written.
    """
    left_out = 0
    for path in sorted(directory.glob(EVENT_FILES)):
        with open_regular(path) as old:
            kept, dropped = [], 0
            for record, data in records(old):
                try:
                    wanted = keep(parse(data))
                except Exception:  # of a library, about bytes that anything may have written
                    dropped += 1
                    break
                if wanted:
                    kept.append(record)
                else:
                    dropped += 1
        if dropped:
            with writing_whole(path) as new:
                new.writelines(kept)
        left_out += dropped
    return left_out
