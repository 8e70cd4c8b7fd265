"""Pictures of any kind to the arrays that a model was trained on."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from jaxode.checks import ConfigError
from jaxode.data import folders, pictures, regular
from jaxode.data.regular import printable

Picture: TypeAlias = str | os.PathLike[str] | Image.Image | np.ndarray
"""A file, a folder of files, Pillow's image, or an array [H, W] or [H, W, C] with C 1, 3 or 4."""

Stored = UInt8[np.ndarray, "N side side channels"]


def read_pictures(
    inputs: Picture | Sequence[Picture], side: int, channels: int
) -> tuple[list[str], Stored]:
    """Names and pixels of pictures, made square and resized as pictures for training are.

    Of a picture that is not square the middle is taken; it is resized with anti-aliasing. EXIF's
    orientation is respected, transparent parts are laid on black, and colours become grey for a
    model of one channel, grey becomes colour for one of three.

    Args:
      inputs: one picture or several; an array [N, H, W] or [N, H, W, C] is N pictures. Arrays are
        uint8, or floating-point numbers from 0 to 1.
      side: height and width that the model was trained on, in pixels.
      channels: 1 (grey) or 3 (red, green, blue).

    Returns:
      for each picture its path, or its number from 0 if it has none; and uint8 [N, side, side,
      channels].

    Raises:
      ConfigError: a file that is no picture or cannot be read, a folder without pictures, or an
        array of another shape, type or range.

    Example:
      >>> import numpy as np
      >>> from jaxode.inference import read_pictures
      >>> names, images = read_pictures(np.zeros((2, 40, 60), np.uint8), 28, 1)
      >>> names, images.shape
      (['0', '1'], (2, 28, 28, 1))
    """
    names, images = [], []
    for name, picture in _each(inputs):
        names.append(name if name is not None else str(len(names)))
        images.append(_fitted(picture, side, channels))
    if not images:
        raise ConfigError("pictures must be at least one, got none")
    return names, np.stack(images)


def named_pictures(
    inputs: Picture | Sequence[Picture],
) -> Iterable[tuple[str, Image.Image]]:
    """Pictures in RGB of their own size, each with its path, or its number if it has none.

    Args:
      inputs: as of `read_pictures`.

    Raises:
      ConfigError: as of `read_pictures`.
    """
    for number, (name, picture) in enumerate(_each(inputs)):
        yield name if name is not None else str(number), picture


def _each(inputs: Picture | Sequence[Picture]) -> Iterable[tuple[str | None, Image.Image]]:
    """Pictures with the names of their files."""
    if isinstance(inputs, (str, os.PathLike)):
        yield from _files(Path(inputs))
    elif isinstance(inputs, Image.Image):
        yield None, pictures.to_rgb(inputs)
    elif isinstance(inputs, np.ndarray):
        yield from ((None, _from_array(image)) for image in _split(inputs))
    elif isinstance(inputs, Iterable):
        for each in inputs:
            yield from _each(each)
    else:
        allowed = "paths, PIL images or NumPy arrays"
        raise ConfigError(f"pictures must be {allowed}, got {type(inputs).__name__}")


def _files(path: Path) -> Iterable[tuple[str, Image.Image]]:
    """The picture of a file, or those of a folder and its subfolders, by name."""
    if not path.is_dir():
        yield printable(path), _open(path)
        return
    found = sorted(
        each
        for each in path.rglob("*")
        if folders.is_picture(str(each.relative_to(path))) and each.is_file()
    )
    if not found:
        endings = ", ".join(folders.ENDINGS)
        raise ConfigError(f"{printable(path)} must hold pictures ({endings}), and has none")
    for each in found:
        yield printable(each), _open(each)


def _open(path: Path) -> Image.Image:
    try:
        return pictures.opened(regular.contents(path, folders.MOST_BYTES))
    except pictures.PictureError as error:
        raise ConfigError(f"{printable(path)} is no whole picture: {error}") from error
    except OSError as error:
        raise ConfigError(f"{printable(path)} cannot be read: {error.strerror}") from error


def _split(array: np.ndarray) -> Iterable[np.ndarray]:
    """One picture or several: [H, W] and [H, W, 1, 3 or 4] are one."""
    single = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (1, 3, 4))
    if not single and array.ndim not in (3, 4):
        raise ConfigError(f"an array of pictures must be [N, H, W, C], got {list(array.shape)}")
    return [array] if single else list(array)


def _from_array(array: np.ndarray) -> Image.Image:
    if array.ndim == 2:
        array = array[:, :, None]
    if array.shape[2] not in (1, 3, 4) or not array.size:
        allowed = "[H, W], [H, W, 1], [H, W, 3] or [H, W, 4]"
        raise ConfigError(f"an array of a picture must be {allowed}, got {list(array.shape)}")
    if array.dtype == np.bool_:
        array = array.astype(np.uint8) * np.uint8(255)
    if np.issubdtype(array.dtype, np.floating):
        low, high = float(array.min()), float(array.max())
        if not (low >= 0 and high <= 1):  # NaN compares false
            raise ConfigError(f"floating-point pixels must be 0 to 1, got {low:g} to {high:g}")
        array = np.rint(array * 255).astype(np.uint8)
    if array.dtype != np.uint8:
        raise ConfigError(f"an array of a picture must be uint8 or floating, got {array.dtype}")
    grey = array.shape[2] == 1
    return pictures.to_rgb(Image.fromarray(array[:, :, 0] if grey else array))


def _fitted(picture: Image.Image, side: int, channels: int) -> np.ndarray:
    """The middle square [side, side, channels] of an RGB picture."""
    whole = picture.convert("L") if channels == 1 else picture
    return np.asarray(pictures.middle_square(whole, side)).reshape(side, side, channels)
