"""The pictures that are augmented: those of a folder, or of the bundled sample of CIFAR-10."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from jaxode.checks import ConfigError
from jaxode.config import DataConfig
from jaxode.data import DataError, folders, load, regular
from jaxode.data.pictures import PictureError, opened
from jaxode.data.regular import printable


def pictures(folder: str | None, count: int, side: int) -> np.ndarray:
    """So many pictures of as many classes as there are: uint8 [count, side, side, 3].

    A subfolder is a class; a folder without pictures below it is one class by itself. Raises
    ConfigError for a folder without pictures, and for one that cannot be read.
    """
    found = sampled(count) if folder is None else map(read, chosen(Path(folder), count))
    fitted = [ImageOps.fit(each, (side, side), Image.Resampling.BILINEAR) for each in found]
    return np.stack([np.asarray(each) for each in fitted])


def chosen(folder: Path, count: int) -> list[Path]:
    """Files of classes spread evenly over the alphabet, of each its first ones.

    Raises ConfigError.
    """
    try:
        inner = sorted(
            each
            for each in folder.iterdir()
            if each.is_dir() and not folders.of_the_system(each.name)
        )
        within = [_pictures_in(each) for each in inner]
        classes = [files for files in within if files] or [_pictures_in(folder)]
    except OSError as error:
        raise ConfigError(
            f"images must be a folder that can be read, and {_failed(error)}"
        ) from error
    except DataError as error:
        raise ConfigError(f"images must be pictures that can be read, and {error}") from error
    if not classes[0]:
        endings = ", ".join(folders.ENDINGS)
        raise ConfigError(f"images must be a folder with {endings} files, got {str(folder)!r}")
    places = [k * len(classes) // count for k in range(count)]
    return [
        classes[place][places[:k].count(place) % len(classes[place])]
        for k, place in enumerate(places)
    ]


def _pictures_in(folder: Path) -> list[Path]:
    return sorted(folder / name for name, _ in folders.files(folder))


def read(path: Path) -> Image.Image:
    """The picture in a file. Raises ConfigError if it holds none."""
    try:
        return opened(regular.contents(path, folders.MOST_BYTES))
    except OSError as error:
        raise ConfigError(
            f"images must be pictures that can be read, and {_failed(error)}"
        ) from None
    except PictureError as error:
        raise ConfigError(
            f"images must be pictures that can be read, and {printable(path)} is none: {error}"
        ) from None


def _failed(error: OSError) -> str:
    return f"{printable(error.filename)} cannot be read: {error.strerror}"


def sampled(count: int) -> list[Image.Image]:
    """The first test image of each of CIFAR-10's classes in turn."""
    found = load(DataConfig(dataset="cifar10", data="sample"), progress=False)
    places = [np.flatnonzero(found.test_labels == k % 10)[k // 10] for k in range(count)]
    return [Image.fromarray(found.test_images[place]) for place in places]
