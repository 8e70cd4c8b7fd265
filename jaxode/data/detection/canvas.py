"""A picture of any size on a canvas of one size."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image


class OnCanvas(NamedTuple):
    """A picture on a canvas, at its upper left corner."""

    pixels: UInt8[np.ndarray, "rows columns 3"]
    extent: Float[np.ndarray, " 2"]
    """Height and width of the picture there."""
    scale: Float[np.ndarray, " 2"]
    """Pixels of the canvas to one of the picture: along x, along y."""


def on_canvas(picture: Image.Image, rows: int, columns: int) -> OnCanvas:
    """The whole picture, resized with anti-aliasing so that it just fits; the rest is black.

    Args:
      picture: in RGB.
      rows: of the canvas.
      columns: of the canvas.

    Example:
      >>> from PIL import Image
      >>> from jaxode.data.detection import on_canvas
      >>> shown = on_canvas(Image.new("RGB", (640, 240), "white"), 240, 320)
      >>> shown.pixels.shape, shown.extent.tolist(), shown.scale.tolist()
      ((240, 320, 3), [120.0, 320.0], [0.5, 0.5])
    """
    width, height = picture.size
    factor = min(columns / width, rows / height)
    across = min(max(round(width * factor), 1), columns)
    down = min(max(round(height * factor), 1), rows)
    if (across, down) != (width, height):
        picture = picture.resize((across, down), Image.Resampling.BILINEAR)
    pixels = np.zeros((rows, columns, 3), np.uint8)
    pixels[:down, :across] = np.asarray(picture)
    extent, scale = (down, across), (across / width, down / height)
    return OnCanvas(pixels, np.array(extent, np.float32), np.array(scale, np.float32))
