"""Boxes drawn on a picture of any size, pixel for pixel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFont

from jaxode.plots.style import COLOURS


def with_boxes(
    picture: Image.Image, rows: Float[np.ndarray, "D 6"], names: Sequence[str]
) -> Image.Image:
    """A copy of a picture with its detections, in a colour for each class.

    Args:
      picture: in RGB.
      rows: box in pixels, score, class.
      names: of the classes.
    """
    drawn = picture.convert("RGB")
    pen = ImageDraw.Draw(drawn)
    line = max(1, round(max(picture.size) / 400))
    font = ImageFont.load_default(max(10, 5 * line))
    for *box, score, kind in rows[::-1]:  # the best are drawn last
        colour = COLOURS[int(kind) % len(COLOURS)]
        x0, y0, x1, y1 = (float(value) for value in box)
        pen.rectangle((x0, y0, max(x0, x1), max(y0, y1)), outline=colour, width=line)
        text = f"{names[int(kind)]} {score:.2f}"
        place = (x0 + line, y0 + line)
        pen.rectangle(pen.textbbox(place, text, font=font), fill=colour)
        pen.text(place, text, fill="white", font=font)
    return drawn
