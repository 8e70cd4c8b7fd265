"""Pairs of a folder as arrays of one size; whatever is no pair is named and left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from jaxode.data import regular
from jaxode.data.depth.listing import Pair, list_pairs
from jaxode.data.depth.maps import DepthUnit, depth_map
from jaxode.data.folders import MOST_BYTES
from jaxode.data.pictures import PictureError, opened
from jaxode.data.regular import printable
from jaxode.data.specs import DataError

T = TypeVar("T")

RATIO = 0.02
"""By how much the ratios of sides of a picture and its depth map may differ."""


class DepthPairs(NamedTuple):
    """N pictures and their depth.

    Args:
      names: of the pairs.
      images: red, green and blue of 0 to 255.
      depth: in metres; 0 where it is unknown.

    Example:
      >>> import numpy as np
      >>> from jaxode.data.depth import DepthPairs
      >>> images, depth = np.zeros((2, 6, 8, 3), np.uint8), np.ones((2, 6, 8), np.float32)
      >>> len(DepthPairs(("kitchen", "office"), images, depth).images)
      2
    """

    names: tuple[str, ...]
    images: UInt8[np.ndarray, "N H W 3"]
    depth: Float[np.ndarray, "N H W"]


class DepthSplits(NamedTuple):
    """Training and test pairs, and a line for each pair that was left out.

    Example:
      See `read_depth_folder`:

      >>> from jaxode.data.depth import DepthSplits
      >>> DepthSplits._fields
      ('train', 'test', 'malformed')
    """

    train: DepthPairs
    test: DepthPairs
    malformed: tuple[str, ...]


def read_depth_folder(
    folder: Path,
    unit: DepthUnit,
    size: tuple[int, int] | None = None,
    *,
    test_share: float = 0.2,
    seed: int = 0,
) -> DepthSplits:
    """The pairs of a folder, all of one size.

    The folder is as `jaxode.data.depth.listing.list_pairs` has it: `rgb/NAME.jpg` beside
    `depth/NAME.png`, and `splits.json`, or `train` and `test` with such folders, or neither. Of a
    pair of another shape than the canvas the middle is taken; pictures are resized with
    anti-aliasing, of depth the nearest pixel is read, for a mean across an edge is the depth of
    nothing.

    Args:
      folder: of the data set.
      unit: of depth maps of whole numbers.
      size: height and width of the canvas; None for those of the first depth map.
      test_share: of the pairs, where no split is given.
      seed: by which they are drawn.

    Returns:
      Both splits. A pair is left out, with a line that says why, if a file is missing or damaged,
      its depth is unknown everywhere, or picture and depth differ in shape.

    Raises:
      DataError: the folder is not laid out so, or a split has no pair left.

    Example:
      >>> import tempfile
      >>> from pathlib import Path
      >>> import numpy as np
      >>> from PIL import Image
      >>> from jaxode.data.depth import DepthUnit, read_depth_folder
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     for name in ("rgb", "depth"):
      ...         Path(folder, name).mkdir()
      ...     for i in range(5):
      ...         Image.new("RGB", (8, 6)).save(Path(folder, "rgb", f"{i}.png"))
      ...         Image.new("L", (8, 6), 20 + i).save(Path(folder, "depth", f"{i}.png"))
      ...     splits = read_depth_folder(Path(folder), DepthUnit(10))
      >>> splits.train.images.shape, splits.test.depth.shape, splits.malformed
      ((4, 6, 8, 3), (1, 6, 8), ())
    """
    listed = list_pairs(folder, test_share, seed)
    lines, parts = list(listed.malformed), []
    for split, pairs in (("train", listed.train), ("test", listed.test)):
        read, size = _read(pairs, unit, size, lines)
        if not read.names:
            found = f"; the first line of what is wrong: {lines[0]}" if lines else ""
            raise DataError(f"{printable(folder)} has no pair for {split}{found}")
        parts.append(read)
    return DepthSplits(parts[0], parts[1], tuple(lines))


def _read(
    pairs: Sequence[Pair], unit: DepthUnit, size: tuple[int, int] | None, lines: list[str]
) -> tuple[DepthPairs, tuple[int, int] | None]:
    """Those of the pairs that can be read, and the canvas; lines are added for the others."""
    names, images, depths = [], [], []
    for pair in pairs:
        try:
            picture, depth = read_pair(pair, unit)
        except DataError as error:
            lines.append(str(error))
            continue
        size = size or depth.shape
        names.append(pair.name)
        images.append(fitted(picture, size))
        depths.append(_nearest(depth, size))
    if size is None or not names:
        empty = np.zeros((0, 0, 0, 3), np.uint8), np.zeros((0, 0, 0), np.float32)
        return DepthPairs((), *empty), size
    return DepthPairs(tuple(names), np.stack(images), np.stack(depths)), size


def read_pair(pair: Pair, unit: DepthUnit) -> tuple[Image.Image, np.ndarray]:
    """A picture and its depth in metres, each of the size that it is stored in.

    Raises DataError that names the file and what is wrong with it.
    """
    picture = _of_file(pair.picture, opened)
    depth = _of_file(pair.depth, lambda contents: depth_map(contents, pair.depth.name, unit))
    height, width = depth.shape
    if abs(picture.width * height / (picture.height * width) - 1) > RATIO:
        raise DataError(
            f"{printable(pair.depth)} has {width} x {height} pixels and its picture"
            f" {picture.width} x {picture.height}: they must have one shape"
        )
    return picture, depth


def _of_file(path: Path, decoded: Callable[[bytes], T]) -> T:
    """What a file decodes to. Raises DataError that names it."""
    try:
        return decoded(regular.contents(path, MOST_BYTES))
    except PictureError as error:
        raise DataError(f"{printable(path)} cannot be used: {error}") from error
    except OSError as error:
        raise DataError(f"{printable(path)} cannot be read: {error.strerror or error}") from error


def fitted(picture: Image.Image, size: tuple[int, int]) -> UInt8[np.ndarray, "H W 3"]:
    """The middle of a picture that has the shape of a canvas, resized with anti-aliasing.

    Args:
      picture: of mode RGB.
      size: height and width.
    """
    left, top, right, bottom = _middle(picture.width, picture.height, size)
    resized = picture.resize(
        (size[1], size[0]), Image.Resampling.BILINEAR, box=(left, top, right, bottom)
    )
    return np.asarray(resized)


def _nearest(depth: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The same of a depth map, by its nearest pixels."""
    left, top, right, bottom = _middle(depth.shape[1], depth.shape[0], size)
    rows = top + (np.arange(size[0]) + 0.5) * (bottom - top) / size[0]
    columns = left + (np.arange(size[1]) + 0.5) * (right - left) / size[1]
    return depth[np.floor(rows).astype(int)[:, None], np.floor(columns).astype(int)]


def _middle(width: int, height: int, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of the largest middle part of a canvas's shape."""
    ratio = size[1] / size[0]
    wide, high = min(width, height * ratio), min(height, width / ratio)
    left, top = (width - wide) / 2, (height - high) / 2
    return left, top, left + wide, top + high
