"""How far two arrays are apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jaxode.parity.layouts import arranged, fitting

SMALLEST = 1e-3
"""An array smaller than this share of its scale is measured against that share of the scale.

What is zero but for rounding has no relative error: the gradient of a bias before a norm, say.
"""


def relative_error(ours: np.ndarray, theirs: np.ndarray, scale: float = 0.0) -> float:
    """‖ours − theirs‖₂ / max(‖theirs‖₂, SMALLEST · scale).

    Args:
      ours: of the nnx module.
      theirs: of PyTorch, of the same shape.
      scale: the norm that numbers of this kind have.

    Returns:
      The error; 0 where both are zero, infinity where a number is not finite.

    Example:
      >>> import numpy as np
      >>> from jaxode.parity.comparison import relative_error
      >>> relative_error(np.array([1.0, 2.0]), np.array([1.0, 1.0]))
      0.7071067811865475
    """
    if not (np.isfinite(ours).all() and np.isfinite(theirs).all()):
        return float("inf")
    difference = float(np.linalg.norm((ours - theirs).ravel()))
    size = max(float(np.linalg.norm(theirs.ravel())), SMALLEST * scale)
    if not difference:
        return 0.0
    return difference / size if size else float("inf")


def aligned_error(
    ours: np.ndarray,
    theirs: np.ndarray,
    preferred: Sequence[str],
    limit: float,
    scale: float = 0.0,
) -> tuple[float, str] | None:
    """The error of two arrays whose layouts may differ, and the layout.

    Where a shape allows several layouts, one in which the arrays agree is taken, else the first.

    Args:
      ours: of the nnx module.
      theirs: of PyTorch.
      preferred: layouts, the likeliest first.
      limit: up to which arrays agree.
      scale: as in `relative_error`.

    Returns:
      The error and the layout, or None if no layout leads to the shape.
    """
    found = [
        (relative_error(ours, arranged(theirs, layout), scale), layout)
        for layout in fitting(theirs, ours.shape, preferred)
    ]
    return next((each for each in found if each[0] <= limit), found[0] if found else None)


def same_numbers(ours: np.ndarray, theirs: np.ndarray, limit: float) -> bool:
    """Whether two arrays of other order, example by example, have the same numbers."""
    if ours.ndim < 2 or ours.size != theirs.size or len(ours) != len(theirs):
        return False
    rows = len(ours)
    sorted_ours = np.sort(ours.reshape(rows, -1), axis=1)
    return relative_error(sorted_ours, np.sort(theirs.reshape(rows, -1), axis=1)) <= limit
