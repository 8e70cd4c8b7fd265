"""The pictures that are augmented: those of a folder, or of the bundled sample of CIFAR-10."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from jaxode.checks import ConfigError
from jaxode.config import DataConfig
from jaxode.data import load

SUFFIXES = (".jpg", ".jpeg", ".png")


def pictures(folder: str | None, count: int, side: int) -> np.ndarray:
    """So many pictures of as many classes as there are: uint8 [count, side, side, 3].

    A subfolder is a class; a folder without pictures below it is one class by itself. Raises ConfigError for a folder
    without pictures, and for one that cannot be read.
    """
    opened = sampled(count) if folder is None else [read(path) for path in chosen(Path(folder), count)]
    return np.stack([np.asarray(ImageOps.fit(each, (side, side), Image.Resampling.BILINEAR)) for each in opened])


def chosen(folder: Path, count: int) -> list[Path]:
    """Files of classes spread evenly over the alphabet, of each its first ones."""
    within = [sorted(_pictures_in(each)) for each in sorted(folder.iterdir()) if each.is_dir()]
    classes = [files for files in within if files] or [sorted(_pictures_in(folder))]
    if not classes[0]:
        raise ConfigError(f"images must be a folder with {', '.join(SUFFIXES)} files, got {str(folder)!r}")
    places = [k * len(classes) // count for k in range(count)]
    return [classes[place][places[:k].count(place) % len(classes[place])] for k, place in enumerate(places)]


def _pictures_in(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES]


def read(path: Path) -> Image.Image:
    """The picture in a file. Raises ConfigError if it holds none."""
    try:
        with Image.open(path) as picture:
            return picture.convert("RGB")
    except OSError as error:
        raise ConfigError(f"images must be pictures that can be read, and {path} is none: {error}") from None


def sampled(count: int) -> list[Image.Image]:
    """The first test image of each of CIFAR-10's classes in turn."""
    found = load(DataConfig(dataset="cifar10", data="sample"), progress=False)
    places = [np.flatnonzero(found.test_labels == k % 10)[k // 10] for k in range(count)]
    return [Image.fromarray(found.test_images[place]) for place in places]
