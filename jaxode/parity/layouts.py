"""Layouts of inputs and outputs: PyTorch's channels come second, Flax's last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

Layout = Literal["auto", "same", "channels_last", "batch_first"]
"""Of the nnx module's arrays beside PyTorch's.

"channels_last": [N, C, …] is [N, …, C]; "batch_first": [L, N, …] is [N, L, …].
"""

LAYOUTS = get_args(Layout)

AXES = {"channels_last": (1, -1), "batch_first": (0, 1)}
"""Which axis of PyTorch's goes where."""


def arranged(array: np.ndarray, layout: str) -> np.ndarray:
    """A PyTorch array in the nnx module's layout.

    Args:
      array: of PyTorch.
      layout: "same", "channels_last" or "batch_first"; an array with too few axes for it stays
        as it is.

    Example:
      >>> import numpy as np
      >>> from jaxode.parity.layouts import arranged
      >>> arranged(np.zeros((2, 3, 8, 9)), "channels_last").shape
      (2, 8, 9, 3)
    """
    if layout == "same" or array.ndim < 3:
        return array
    return np.moveaxis(array, *AXES[layout])


def fitting(array: np.ndarray, shape: Sequence[int], preferred: Sequence[str]) -> list[str]:
    """The layouts in which a PyTorch array has a shape, the preferred ones first.

    Args:
      array: of PyTorch.
      shape: of the nnx array.
      preferred: layouts in the order in which they are tried; the others follow.
    """
    order = dict.fromkeys((*preferred, "same", "channels_last", "batch_first"))
    return [layout for layout in order if arranged(array, layout).shape == tuple(shape)]


def arranged_input(array: np.ndarray, layout: str) -> np.ndarray:
    """As `arranged`; of whole numbers [L, N], tokens say, also the batch comes first."""
    if layout == "batch_first" and array.ndim == 2 and np.issubdtype(array.dtype, np.integer):
        return array.T
    return arranged(array, layout)
