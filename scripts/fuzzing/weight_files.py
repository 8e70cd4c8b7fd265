"""Hostile weight files: each of the four formats, damaged or made to deceive."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch

from jaxode.interop import InteropError, read_weights, write_weights
from jaxode.interop.weight_bytes import WRITERS, Weights
from scripts.fuzzing.damage import BYTES, replaced
from scripts.fuzzing.verdict import Case, of_call

DOCUMENTED = (InteropError, OSError)


def weights() -> Weights:
    """A small state_dict."""
    rng = np.random.default_rng(0)
    shapes = {"1.weight": (3, 784), "1.bias": (3,), "3.weight": (10, 3), "3.bias": (10,)}
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


class Marker:
    """Pickles that call a function which makes a folder.

    If it is there afterwards, something in the file was run.
    """

    def __init__(self, place: str) -> None:
        self.place = place

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.place,)


def calling(rng: Random, path: Path) -> str:
    """A pickle that calls a function, bare or inside torch's zip."""
    place = str(path.with_name("run"))
    content = rng.choice(({"state_dict": Marker(place)}, Marker(place), [Marker(place)]))
    if rng.random() < 0.5:
        torch.save(content, path)
        return "torch file that calls mkdir"
    path.write_bytes(pickle.dumps(content))
    return "pickle that calls mkdir"


def safetensors(rng: Random, path: Path) -> str:
    """A header of safetensors that announces what is not there."""
    entry: dict[str, Any] = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}
    key, value = rng.choice(
        (
            ("shape", [2**40, 2**40]),
            ("shape", [-1, 4]),
            ("shape", [0]),
            ("shape", None),
            ("dtype", "F99"),
            ("dtype", "I64"),
            ("data_offsets", [0, 2**60]),
            ("data_offsets", [16, 0]),
            ("data_offsets", [0, 15]),
        )
    )
    header = json.dumps({rng.choice(("a", "", "\x00")): {**entry, key: value}}).encode()
    size = rng.choice((len(header), len(header), 0, 2**62, len(header) - 1))
    path.write_bytes(struct.pack("<Q", size) + header + bytes(16))
    return f"safetensors, {key} {value}, header of {size}"


def npy(header: str) -> bytes:
    """A .npy file with this header and 16 bytes of data."""
    text = header.encode("latin1") + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + bytes(16)


def arrays(rng: Random, path: Path) -> str:
    """A zip of .npy files whose headers announce what is not there."""
    descr, shape = rng.choice(
        (
            ("'<f4'", f"({2**40},)"),
            ("'<f4'", "(-4,)"),
            ("'|O'", "(2,)"),
            ("'<f4'", "(4,"),
            ("'<U1000000000'", "(4,)"),
            ("[('a', '<f4')]", "(4,)"),
            ("'<f8'", "(2, 2, 2)"),
            ("'<c8'", "(2,)"),
            ("'<f4'", "(" * 3000),
            ("'<f4'", "(" + "1," * 100 + ")"),
            ("'>f4'", "(4,)"),
            ("'<f2'", "(8,)"),
            ("'<i4'", "(4,)"),
        )
    )
    member = rng.choice(("a.npy", "a", "../a.npy", "a/b.npy", "\u2603.npy"))
    packed = io.BytesIO()
    with zipfile.ZipFile(
        packed, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    ) as archive:
        header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}"
        for _ in range(rng.choice((1, 1, 2))):
            archive.writestr(member, npy(header))
    path.write_bytes(packed.getvalue())
    return f"npz, member {member!r}, {descr} {shape[:40]}"


def right(expected: Weights, ran: Path, *, exact: bool) -> Callable[[Weights], str]:
    """What is wrong with weights that were accepted.

    Other names or shapes or, where checksums guard them, numbers.
    """

    def judge(found: Weights) -> str:
        if ran.exists():
            return "something in the file was run"
        if any(array.dtype.kind != "f" or array.size > 1 << 20 for array in found.values()):
            return "not floating-point numbers, or more than the file can hold"
        if not exact:
            return ""
        if found.keys() != expected.keys():
            return f"names {sorted(found)}"
        same = all(
            np.array_equal(found[name], value, equal_nan=True) for name, value in expected.items()
        )
        return "" if same else "other numbers than were written"

    return judge


def cases(rng: Random, count: int, work: Path) -> Iterator[Case]:
    """So many weight files, each in a place of its own."""
    expected = weights()
    crafted = ((calling, (".pt", ".pth")), (safetensors, (".safetensors",)), (arrays, (".npz",)))
    for number in range(count):
        folder = work / f"weights-{number}"
        folder.mkdir(parents=True)
        if rng.random() < 0.4:
            way, endings = rng.choice(crafted)
            path = folder / f"model{rng.choice(endings)}"
            done = way(rng, path)
            exact = False
        else:
            path = folder / f"model{rng.choice(tuple(WRITERS))}"
            write_weights(path, expected)
            done = (replaced if rng.random() < 0.15 else rng.choice(BYTES))(rng, path)
            exact = path.suffix in (".npz", ".pt", ".pth")  # their zip has a CRC of every member
        judge = right(expected, folder / "run", exact=exact)
        yield Case(
            f"{path.name}: {done}",
            lambda path=path, judge=judge: of_call(lambda: read_weights(path), DOCUMENTED, judge),
        )
