"""Small data sets in Pascal VOC's layout: squares and bars of two colours on grey."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

KINDS = {"bar": (24, 10), "square": (14, 14)}
COLOURS = {"bar": (200, 60, 60), "square": (60, 60, 200)}


def annotation(objects, size=None):
    """The text of an annotation; objects are (name, (x0, y0, x1, y1)) or (name, box, difficult)."""
    parts = []
    for name, box, *difficult in objects:
        corners = zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
        numbers = "".join(f"<{key}>{value}</{key}>" for key, value in corners)
        hard = f"<difficult>{int(difficult[0])}</difficult>" if difficult else ""
        parts.append(f"<object><name>{name}</name>{hard}<bndbox>{numbers}</bndbox></object>")
    sides = (
        "" if size is None else f"<size><width>{size[0]}</width><height>{size[1]}</height></size>"
    )
    return f"<annotation>{sides}{''.join(parts)}</annotation>"


def drawn(rng, width, height):
    """A picture with one to three objects, and the objects."""
    picture = np.full((height, width, 3), 128, np.uint8)
    objects = []
    for _ in range(rng.integers(1, 4)):
        name = ("bar", "square")[rng.integers(2)]
        wide, high = KINDS[name]
        x, y = (int(rng.integers(0, side - size)) for side, size in ((width, wide), (height, high)))
        picture[y : y + high, x : x + wide] = COLOURS[name]
        objects.append((name, (x, y, x + wide, y + high)))
    return picture, objects


def write(folder: Path, images, lists, endings=".png"):
    """Write pictures and annotations by name, and lists of names by split."""
    for part in ("Annotations", "ImageSets/Main", "JPEGImages"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for name, (picture, text) in images.items():
        Image.fromarray(picture).save(folder / "JPEGImages" / f"{name}{endings}")
        (folder / "Annotations" / f"{name}.xml").write_text(text, encoding="utf-8")
    for split, names in lists.items():
        text = "".join(f"{name}\n" for name in names)
        (folder / "ImageSets" / "Main" / f"{split}.txt").write_text(text, encoding="utf-8")
    return folder


def small_set(folder: Path, train=8, val=4, test=4, size=(64, 48)):
    """A whole data set of drawn pictures."""
    rng, images, lists = np.random.default_rng(0), {}, {}
    for split, count in (("train", train), ("val", val), ("test", test)):
        lists[split] = [f"{split}{i}" for i in range(count)]
        for name in lists[split]:
            picture, objects = drawn(rng, *size)
            images[name] = (picture, annotation(objects, size))
    return write(folder, images, lists)
