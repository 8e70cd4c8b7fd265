"""RoIAlign: what a feature map holds within boxes, as a grid of fixed size.

Source: He et al. 2017, "Mask R-CNN", section 3; torchvision's `roi_align` with `aligned=False`.

The bilinear weights of a sample are a product of one of its row and one of its column, so that the
mean over the samples of a bin is two matrix products, and its gradient two more. A gather has a
scatter as its gradient, which XLA does number by number on a CPU.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax.lax import Precision
from jaxtyping import Array, Float


def roi_align(
    maps: Float[Array, "H W C"],
    boxes: Float[Array, "R 4"],
    scale: tuple[float, float],
    bins: int = 7,
    samples: int = 2,
) -> Float[Array, "R bins bins C"]:
    """The mean of bilinear samples in each of bins x bins cells of each box.

    Args:
      maps: feature map of an image.
      boxes: in pixels of the image, within it; no gradient is meant for them.
      scale: rows and columns of the map to a pixel: 1/8 at stride 8.
      bins: cells a side.
      samples: a side of each cell.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxode.detection import roi_align
      >>> maps = jnp.broadcast_to(jnp.arange(8.0)[:, None, None], (8, 8, 1))
      >>> roi_align(maps, jnp.array([[0.0, 2.0, 4.0, 6.0]]), (1, 1), bins=2)[0, :, 0, 0].tolist()
      [3.0, 5.0]
    """
    rows = interpolation(boxes[:, 1], boxes[:, 3], scale[0], maps.shape[0], bins, samples)
    columns = interpolation(boxes[:, 0], boxes[:, 2], scale[1], maps.shape[1], bins, samples)
    high = Precision.HIGHEST
    within = jnp.einsum("rih,hwc->riwc", rows, maps, precision=high)
    return jnp.einsum("rjw,riwc->rijc", columns, within, precision=high)


def interpolation(
    start: Float[Array, " R"],
    end: Float[Array, " R"],
    scale: float,
    size: int,
    bins: int,
    samples: int,
) -> Float[Array, "R bins size"]:
    """Weights of the places of an axis in the mean of each bin's samples.

    Args:
      start: of each box, in pixels.
      end: of each box, in pixels.
      scale: places to a pixel.
      size: places of the axis.
      bins: of a box.
      samples: of a bin.
    """
    start, end = start * scale, end * scale
    width = jnp.maximum(end - start, 1) / bins
    bin_start = start[:, None] + jnp.arange(bins, dtype=start.dtype) * width[:, None]
    inside = (jnp.arange(samples, dtype=start.dtype) + 0.5) * (width / samples)[:, None]
    places = jnp.clip(bin_start[:, :, None] + inside[:, None], 0, size - 1)
    distance = jnp.abs(places[..., None] - jnp.arange(size, dtype=start.dtype))
    return jnp.maximum(1 - distance, 0).mean(2)
