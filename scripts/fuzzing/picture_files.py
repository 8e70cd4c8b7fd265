"""Hostile pictures in folders and zips.

Odd formats and modes, damage, links, pipes, bombs and files that systems leave.
"""

from __future__ import annotations

import dataclasses
import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image

from jaxode.data import folders
from jaxode.data.registry import SPECS
from jaxode.data.specs import DataError, DatasetSpec
from scripts.fuzzing.damage import BYTES, remove, replaced
from scripts.fuzzing.verdict import Case, of_call


def picture(rng: Random) -> bytes:
    """A small picture of any common mode and format."""
    ending, mode = rng.choice(
        (
            ("JPEG", "RGB"),
            ("JPEG", "L"),
            ("JPEG", "CMYK"),
            ("PNG", "RGB"),
            ("PNG", "RGBA"),
            ("PNG", "P"),
            ("PNG", "1"),
            ("PNG", "I;16"),
            ("PNG", "LA"),
            ("TIFF", "F"),
            ("TIFF", "I"),
            ("BMP", "RGB"),
            ("GIF", "P"),
            ("EPS", "RGB"),
            ("ICO", "RGBA"),
            ("WEBP", "RGB"),
            ("PPM", "RGB"),
            ("PCX", "RGB"),
            ("PDF", "RGB"),
        )
    )
    target = io.BytesIO()
    Image.new(mode, (rng.choice((1, 2, 40)), rng.choice((1, 3, 40)))).save(target, ending)
    return target.getvalue()


def bomb_png(rng: Random) -> bytes:
    """A PNG of a few bytes whose header announces far too many pixels."""
    target = io.BytesIO()
    Image.new("L", (8, 8)).save(target, "PNG")
    content = bytearray(target.getvalue())
    content[16:24] = struct.pack(
        ">II", rng.choice((20_000, 65_000, 2**31 - 1)), rng.choice((20_000, 65_000))
    )
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    return bytes(content)


JUNK = (
    "__MACOSX/A/._1.jpg",
    "A/._1.jpg",
    "A/.DS_Store",
    "B/Thumbs.db",
    "A/notes.txt",
    "readme.md",
    "A/deep/x.jpg",
)


def write_pictures(folder: Path, rng: Random) -> str:
    """Two classes of pictures, one of them hostile; returns what it is."""
    for name in ("A/1.jpg", "A/2.png", "B/1.jpg", "B/2.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (9, 9), (200, 10, 60)).save(folder / name)
    path = folder / rng.choice(("A/3.jpg", "B/3.png", "A/3.JPEG"))
    match rng.choice(
        ("picture", "picture", "damaged", "damaged", "bomb", "place", "junk", "script")
    ):
        case "picture":
            path.write_bytes(picture(rng))
            done = "any picture"
        case "damaged":
            path.write_bytes(picture(rng))
            done = rng.choice(BYTES)(rng, path)
        case "bomb":
            path.write_bytes(bomb_png(rng))
            done = "PNG of far too many pixels"
        case "place":
            done = replaced(rng, path)
        case "junk":
            path = folder / rng.choice(JUNK)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(rng.randbytes(50))
            done = "no picture of the set"
        case _:
            path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(x) run\n")
            done = "PostScript"
    return f"{path.relative_to(folder)}: {done}"


def zipped(folder: Path, rng: Random) -> str:
    """Put the folder's regular files into a zip and delete them; perhaps damage the zip.

    Returns what was done.
    """
    target, done = folder / "asl-alphabet.zip", ""
    inner = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()]
    with zipfile.ZipFile(
        target, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA))
    ) as z:
        for path in inner:
            z.write(path, path.relative_to(folder))
    for name in ("A", "B", "__MACOSX"):
        remove(folder / name) if (folder / name).exists() else None
    way = rng.choice(("whole", "bytes", "encrypted", "method", "size"))
    content = bytearray(target.read_bytes())
    central = content.rfind(b"PK\x01\x02")
    if way == "bytes":
        done = rng.choice(BYTES)(rng, target)
    elif way != "whole":
        place, value = {
            "encrypted": (8, 1),
            "method": (10, 77),
            "size": (24, 2**33 - 1 & 0xFFFFFFFE),
        }[way]
        struct.pack_into("<H" if way != "size" else "<I", content, central + place, value)
        target.write_bytes(content)
        done = way
    return f" in a zip {done}"


def right_pictures(found: tuple[np.ndarray, np.ndarray]) -> str:
    """What is wrong with arrays of pictures; "" if nothing is."""
    images, labels = found
    shape = (len(labels), 64, 64, 3)
    good = images.shape == shape and images.dtype == np.uint8 and set(labels.tolist()) <= {0, 1}
    return (
        ""
        if good and len(labels) >= 4
        else f"{images.dtype} {images.shape} of classes {sorted(set(labels.tolist()))}"
    )


def read_pictures(spec: DatasetSpec, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Arrays of the pictures in a folder, as a set's loading reads them. Raises DataError."""
    root = folders.find(spec, folder)
    if root is None:
        raise DataError(f"{folder} holds neither folders of pictures nor a zip")
    return folders.read(spec, folders.listing(spec, root), progress=False)


def cases(rng: Random, count: int, work: Path) -> Iterator[Case]:
    """Pictures in two folders, or in a zip of them."""
    spec = dataclasses.replace(SPECS["asl_alphabet"], class_names=("A", "B"))
    for number in range(count):
        folder = work / f"pictures-{number}"
        done = write_pictures(folder, rng)
        if rng.random() < 0.4 and not any(
            (folder / name).is_fifo() for name in ("A/3.jpg", "B/3.png", "A/3.JPEG")
        ):
            done += zipped(folder, rng)
        yield Case(done, lambda folder=folder: of_call(
            lambda: read_pictures(spec, folder), (DataError,), right_pictures
        ))  # fmt: skip
