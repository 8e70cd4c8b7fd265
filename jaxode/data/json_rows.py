"""A JSON list of objects, read row by row as events; depth, length and number of parts are bounded.

A parser that builds values builds whatever a file asks for. ijson's `items` also keeps the path to
each list in a list, which takes memory quadratic in the depth.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, BinaryIO

import ijson
import numpy as np

from jaxode.data.regular import printable
from jaxode.data.specs import DataError

CHUNK = 2**14
"""Bytes given to the parser at once: few, since all their events are in memory together."""

MOST_PENDING = 2**20
"""Bytes without an event: with every chunk, the parser reads a long string from its start again."""

MOST_ROWS = 20_000
MOST_KEYS = 32
MOST_TEXT = 1_000
"""Characters of a string or a key."""

MOST_DEPTH = 8
MOST_EVENTS = 20_000
"""Of a value that is not used."""

ENDS = {"start_map": "end_map", "start_array": "end_array"}
SCALARS = ("null", "boolean", "number", "string")

Scalar = str | int | float | bool | None
"""A value of JSON that is neither a list nor an object."""

Event = tuple[str, Any]


class JSONRows:
    """The rows of a file with their keys and values.

    Each is read in this order and exactly once.

    Whatever is not as it should be is a DataError that names the row, from 0, and the key.
    """

    def __init__(self, file: BinaryIO, name: str, wanted: str) -> None:
        """The rows in `file`, called `name`; `wanted` is what to say of a file that has none."""
        self.name, self.wanted = name, wanted
        self.row, self.key = -1, ""
        self._within = False  # whether the row's keys are being read
        self._events = itertools.chain.from_iterable(self._chunks(file))

    @property
    def place(self) -> str:
        """What is being read, in words."""
        row = f"row {self.row} of {self.name}"
        return f"{printable(self.key)} of {row}" if self.key else row

    def __iter__(self) -> Iterator[str]:
        """The place of each row in words; its keys must be read before the next row."""
        kind, value = next(self._events)
        if kind != "start_array":
            found = _found(kind, value)
            raise DataError(f"{self.name} must be a JSON list, found {found}: {self.wanted}")
        for kind, value in self._events:
            if kind == "end_array":
                break
            if self.row + 1 == MOST_ROWS:
                raise DataError(f"{self.name} must have at most {MOST_ROWS} rows, found more")
            self.row += 1
            if kind != "start_map":
                raise DataError(f"{self.place} must be an object, found {_found(kind, value)}")
            self._within = True
            yield self.place
        for _ in self._events:  # reads what follows, of which the parser complains
            pass

    def keys(self) -> Iterator[str]:
        """The keys of the row; the value of each must be read before the next key."""
        seen: set[str] = set()
        for _, key in iter(self._events.__next__, ("end_map", None)):
            if len(key) > MOST_TEXT:
                allowed = f"at most {MOST_TEXT} characters, found {len(key)}"
                raise DataError(f"a key of {self.place} must have {allowed}")
            if key in seen:
                raise DataError(f"{self.place} must have each key once, found {key!r} twice")
            if len(seen) == MOST_KEYS:
                raise DataError(f"{self.place} must have at most {MOST_KEYS} keys, found more")
            seen.add(key)
            self.key = key
            yield key
            self.key = ""
        self._within = False

    def scalar(self, allowed: str) -> Scalar:
        """A string, number, boolean or None; `allowed` is what to say of a list or an object."""
        kind, value = next(self._events)
        if kind not in SCALARS:
            raise DataError(f"{self.place} must be {allowed}, found {_found(kind, value)}")
        return self._short(value)

    def numbers(self, count: int) -> np.ndarray:
        """A list of so many numbers as float64 [count]."""
        kind, value = next(self._events)
        allowed = f"a list of {count} numbers"
        if kind != "start_array":
            raise DataError(f"{self.place} must be {allowed}, found {_found(kind, value)}")
        # What is no number is kept as its event, of which no array can be made.
        events = itertools.islice(self._events, count)
        values = [value if kind == "number" else (kind, value) for kind, value in events]
        try:
            array = np.array(values, np.float64)
        except (ValueError, TypeError):
            raise self._no_number(values, allowed) from None
        except OverflowError:  # of ijson's parser in Python alone; yajl refuses such integers
            raise DataError(f"{self.place} must hold numbers within float64") from None
        if (kind := next(self._events)[0]) != "end_array":
            raise DataError(f"{self.place} must be {allowed}, found a list of more")
        return array

    def _no_number(self, values: list[float | Event], allowed: str) -> DataError:
        place = next(i for i, each in enumerate(values) if isinstance(each, tuple))
        event = values[place]
        assert isinstance(event, tuple)
        kind, value = event
        if kind == "end_array":
            return DataError(f"{self.place} must be {allowed}, found a list of {place}")
        found = _found(kind, value)
        return DataError(f"element {place} of {self.place} must be a number, found {found}")

    def skip(self) -> None:
        """Any value, as long as it is small."""
        depth = 0
        for kind, value in itertools.islice(self._events, MOST_EVENTS):
            self._short(value)
            depth += (kind in ENDS) - (kind in ENDS.values())
            if depth > MOST_DEPTH:
                raise DataError(f"{self.place} must be at most {MOST_DEPTH} lists or objects deep")
            if depth == 0:
                return
        raise DataError(f"{self.place} must have at most {MOST_EVENTS} parts")

    def _short(self, value: Scalar) -> Scalar:
        if isinstance(value, str) and len(value) > MOST_TEXT:
            allowed = f"at most {MOST_TEXT} characters, found {len(value)}"
            raise DataError(f"{self.place} must have {allowed}")
        return value

    def _chunks(self, file: BinaryIO) -> Iterator[list[Event]]:
        """The parser's events, chunk by chunk; first those before an error."""
        events: Any = ijson.sendable_list()
        parser: Any = ijson.basic_parse_coro(events, use_float=True)
        chunk, pending = b" ", 0
        while chunk:
            chunk, mistake = file.read(CHUNK), None
            try:
                parser.send(chunk) if chunk else parser.close()
            # ValueError: text that is no UTF-8.
            except (ijson.JSONError, ValueError, OverflowError) as error:
                mistake = error
            yield events[:]
            if mistake is not None:
                raise self._broken(mistake)
            pending = 0 if events else pending + len(chunk)
            if pending > MOST_PENDING:
                found = f"a part of more than {MOST_PENDING} bytes"
                raise DataError(f"{self.name} has {found} {self._where()}")
            events.clear()

    def _where(self) -> str:
        if self.key:
            return f"in {printable(self.key)} of row {self.row}"
        if self._within:
            return f"in row {self.row}"
        return f"after row {self.row}" if self.row >= 0 else "before row 0"

    def _broken(self, error: Exception) -> DataError:
        hint = "" if self.row >= 0 else f": {self.wanted}"
        broken = f"{self.name} is truncated or no valid JSON {self._where()}"
        return DataError(f"{broken}: {_first_line(error)}{hint}")


def _found(kind: str, value: Scalar) -> str:
    return {"start_map": "an object", "start_array": "a list"}.get(kind) or shown(value)


def shown(value: object) -> str:
    """A string, number, boolean or None as it stands in the file, briefly."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _first_line(error: Exception) -> str:
    """What a parser says, without the lines that show the place; yajl says some of it in bytes."""
    text = error.args[0] if error.args else ""
    text = text.decode(errors="replace") if isinstance(text, bytes) else str(text)
    return printable(text.strip().partition("\n")[0][:150])
