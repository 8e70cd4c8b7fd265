"""The part of a depth map that is measured in the literature on NYU Depth v2."""

from __future__ import annotations

ROWS, COLUMNS = (45, 471), (41, 601)
"""Of 480 and 640 pixels; the first is inside, the last outside."""


def eigen_crop(height: int, width: int) -> tuple[slice, slice]:
    """Eigen's crop, rounded to the pixels of a map of another size.

    Source: Eigen, Puhrsch and Fergus 2014, "Depth Map Prediction from a Single Image", whose
    evaluation leaves out the white border of the aligned pictures.

    Args:
      height: of the map, in pixels.
      width: of the map, in pixels.

    Returns:
      Rows and columns.

    Example:
      >>> from jaxode.data.depth import eigen_crop
      >>> eigen_crop(480, 640)
      (slice(45, 471, None), slice(41, 601, None))
      >>> eigen_crop(120, 160)
      (slice(11, 118, None), slice(10, 150, None))
    """
    top, bottom = (round(edge * height / 480) for edge in ROWS)
    left, right = (round(edge * width / 640) for edge in COLUMNS)
    return slice(top, bottom), slice(left, right)
