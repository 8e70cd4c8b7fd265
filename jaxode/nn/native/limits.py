"""What the native kernels accept. The C++ checks the same limits and refuses what exceeds them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from jaxtyping import Array

LARGEST_MAP = 1 << 24
"""Most numbers in the map of one image, H·W·C: `kMost` of `cpp/calls.h`."""


def accepts_map(height: int, width: int, channels: int) -> bool:
    """Whether a map [H, W, C] is neither empty nor too large, with C a multiple of 8."""
    numbers = height * width * channels
    return min(height, width) >= 1 and channels % 8 == 0 and 0 < numbers <= LARGEST_MAP


def are_float32(arrays: Iterable[Array | None]) -> bool:
    """Whether all arrays are float32; None stands for no array."""
    return all(array is None or array.dtype == np.float32 for array in arrays)
