"""Ways to damage a file: its bytes, its JSON, and what stands in its place."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

Damage = Callable[[Random, Path], str]
"""Damages a file in place; returns what was done, in words."""

DEEP = 100_000
"""Brackets in a row: far more than any parser's stack holds."""

ODD_VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1.5,
    2**31,
    2**64,
    -(2**63),
    10**30,
    1e308,
    -0.0,
    "",
    " ",
    "nan",
    "0.1",
    "\x00",
    "\ud800",
    "☃",
    "x" * 5000,
    [],
    {},
    [[]],
    {"": None},
    [None] * 1000,
)
"""JSON values that may stand where another is expected."""


def flip(rng: Random, path: Path) -> str:
    """Change some bits of one to eight bytes."""
    content = bytearray(path.read_bytes())
    places = (
        [rng.randrange(len(content)) for _ in range(rng.choice((1, 1, 1, 8)))] if content else []
    )
    for place in places:
        content[place] ^= rng.randrange(1, 256)
    path.write_bytes(content)
    return f"bytes {places} changed"


def cut(rng: Random, path: Path) -> str:
    """Leave the first part."""
    content = path.read_bytes()
    size = rng.choice(
        (0, 1, len(content) // 2, max(0, len(content) - 1), rng.randrange(len(content) + 1))
    )
    path.write_bytes(content[:size])
    return f"cut to {size} of {len(content)} bytes"


def insert(rng: Random, path: Path) -> str:
    """Put bytes in between, or at the end."""
    content = path.read_bytes()
    place = rng.choice((0, len(content), rng.randrange(len(content) + 1)))
    more = rng.choice(
        (b"\0", b"\n", b"\xff\xfe", b"{", b"]", rng.randbytes(100), b"\n{}\n", b"0" * 10_000)
    )
    path.write_bytes(content[:place] + more + content[place:])
    return f"{len(more)} bytes {more[:8]!r} put in at {place}"


def noise(rng: Random, path: Path) -> str:
    """Random bytes in place of the content."""
    size = rng.choice((1, 100, 100_000))
    path.write_bytes(rng.randbytes(size))
    return f"{size} random bytes"


def nested(rng: Random, path: Path) -> str:
    """Brackets without end."""
    opening = rng.choice((b"[", b'{"a":', b'{"config":{"model":', b"[{"))
    path.write_bytes(opening * DEEP)
    return f"{DEEP} times {opening!r}"


BYTES: tuple[Damage, ...] = (flip, flip, cut, insert, noise, nested)


def parts(value: Any) -> list[tuple[Any, Any]]:
    """Every container of a JSON value with each of its keys or places."""
    inner = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    found = [(value, key) for key, _ in inner]
    for container, key in list(found):
        found += parts(container[key])
    return found


def twice(text: str, rng: Random) -> str:
    """JSON text of an object whose first key stands there twice, with another value."""
    end = text.find(":")
    return f"{text[:end]}: {json.dumps(rng.choice(ODD_VALUES[:10]))}, {text[text.find('{') + 1 :]}"


def json_damage(rng: Random, path: Path) -> str:
    """Another value, a missing, additional or doubled key, in a file of JSON objects.

    The file holds one object, or one for each line.
    """
    text = path.read_text(encoding="utf-8")
    lines = path.suffix == ".jsonl"
    rows = [json.loads(line) for line in text.splitlines()] if lines else [json.loads(text)]
    row = rng.randrange(len(rows))
    container, key = rng.choice(parts(rows[row]))
    way = rng.choice(("value", "value", "value", "gone", "more", "twice"))
    done = f"{way} at {str(key)[:40]!r}"
    if way == "value":
        container[key] = odd = rng.choice(ODD_VALUES)
        done += f" is {str(odd)[:20]!r}"
    elif way == "gone":
        del container[key]
    elif way == "more":
        rows[row]["unheard_of"] = rng.choice(ODD_VALUES)
    dumped = [json.dumps(value) for value in rows]
    if way == "twice":
        dumped[row] = twice(dumped[row], rng)
    path.write_text("\n".join(dumped) + ("\n" if lines else ""), encoding="utf-8")
    return done


def remove(path: Path) -> None:
    """Delete a file, a link or a folder."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def replaced(rng: Random, path: Path) -> str:
    """Something else in the file's place.

    Nothing, a folder, a pipe, a device, a link to nowhere or to itself.
    """
    remove(path)
    what = rng.choice(("nothing", "folder", "pipe", "endless", "dangling", "loop"))
    match what:
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "endless":
            path.symlink_to("/dev/zero")
        case "dangling":
            path.symlink_to(path.with_name("nowhere"))
        case "loop":
            path.symlink_to(path.name)
    return f"{what} in its place"


def damage(rng: Random, path: Path) -> str:
    """One damage of any kind; returns what was done."""
    as_json = path.suffix in (".json", ".jsonl") and rng.random() < 0.6
    if as_json:
        try:
            return f"{path.name}: {json_damage(rng, path)}"
        except (ValueError, IndexError):  # no JSON object, or an empty one
            pass
    way = replaced if rng.random() < 0.2 else rng.choice(BYTES)
    return f"{path.name}: {way(rng, path)}"
