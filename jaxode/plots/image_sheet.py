"""Images side by side in one file."""

from __future__ import annotations

import io

import numpy as np
from jaxtyping import UInt8

from jaxode.checks import ConfigError

GAP = 1
"""Pixels between two images."""


def image_sheet(images: UInt8[np.ndarray, "N H W C"], columns: int, *, enlarged: int = 2) -> bytes:
    """A PNG of images in rows.

    Args:
      images: bytes [N, H, W, C] with one channel or three.
      columns: images in a row.
      enlarged: pixels of the file for each pixel of an image, along a side.

    Raises:
      ConfigError: another number of channels.

    Example:
      >>> import numpy as np
      >>> from jaxode.plots.image_sheet import image_sheet
      >>> image_sheet(np.zeros((3, 4, 4, 1), np.uint8), 2)[1:4]
      b'PNG'
    """
    from PIL import Image

    count, height, width, channels = images.shape
    if channels not in (1, 3):
        raise ConfigError(f"images must have 1 or 3 channels, got {channels}")
    rows = -(-count // columns)
    sheet = np.full((rows * (height + GAP) + GAP, columns * (width + GAP) + GAP, channels), 255)
    for index, image in enumerate(images):
        y, x = (GAP + each * (size + GAP) for each, size in zip(
            divmod(index, columns), (height, width), strict=True
        ))  # fmt: skip
        sheet[y : y + height, x : x + width] = image
    pixels = sheet.astype(np.uint8).repeat(enlarged, 0).repeat(enlarged, 1)
    target = io.BytesIO()
    Image.fromarray(pixels[..., 0] if channels == 1 else pixels).save(target, "png", optimize=True)
    return target.getvalue()
