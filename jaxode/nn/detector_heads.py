"""What a detector says of the boxes of a map: of its anchors, and of what lies within proposals."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxode.nn.kernels import Kernels, choose_kernels
from jaxode.nn.layers import Conv, Linear
from jaxode.types import Maps

SPREAD = 0.01
"""Standard deviation of the initial weights of a region head."""


class RegionHead(nnx.Module):
    """3x3 convolution · ReLU, then a log-odds and a box code for each anchor of each place.

    Source: Ren et al. 2015, "Faster R-CNN", section 3.1; torchvision's `RPNHead`.

    Args:
      width: C, channels of the map.
      anchors: A, boxes around each place.
      kernels: convolution; None for the quickest in float32.
      rngs: stream `params` of keys.
      dtype: floating-point type of the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxode.nn import RegionHead
      >>> def shapes(rngs):
      ...     return RegionHead(8, 3, rngs=rngs)(jnp.ones((2, 4, 5, 8)))
      >>> logits, codes = nnx.eval_shape(shapes, nnx.Rngs(0))
      >>> logits.shape, codes.shape
      ((2, 60), (2, 60, 4))
    """

    def __init__(
        self,
        width: int,
        anchors: int,
        *,
        kernels: Kernels | None = None,
        rngs: nnx.Rngs,
        dtype: DTypeLike = jnp.float32,
    ) -> None:
        """Weights start normal with a standard deviation of 0.01, biases at 0."""
        shared = {"kernels": kernels or choose_kernels(), "rngs": rngs, "dtype": dtype}
        self.conv = Conv(width, width, 3, padding=1, **shared)
        self.objectness = Conv(width, anchors, 1, **shared)
        self.codes = Conv(width, 4 * anchors, 1, **shared)
        for conv in (self.conv, self.objectness, self.codes):
            draw = jax.random.normal(rngs.params(), conv.kernel.shape, dtype)
            conv.kernel[...] = jnp.asarray(SPREAD, dtype) * draw
            assert conv.bias is not None
            conv.bias[...] = jnp.zeros_like(conv.bias[...])

    def __call__(self, maps: Maps) -> tuple[Float[Array, "B N"], Float[Array, "B N 4"]]:
        """Log-odds and codes of the N = H·W·A anchors: row, then column, then box."""
        hidden = jax.nn.relu(self.conv(maps))
        count = len(maps)
        return self.objectness(hidden).reshape(count, -1), self.codes(hidden).reshape(count, -1, 4)


class BoxHead(nnx.Module):
    """Two linear layers with ReLU, then logits and a box code for background and each class.

    Source: Ren et al. 2015, "Faster R-CNN"; torchvision's `TwoMLPHead` and `FastRCNNPredictor`.

    Args:
      inner: I, numbers that describe a box.
      hidden: units of each of the two layers.
      classes: K, without background.
      rngs: stream `params` of keys.
      dtype: floating-point type of the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxode.nn import BoxHead
      >>> logits, codes = BoxHead(32, 16, 3, rngs=nnx.Rngs(0))(jnp.ones((5, 32)))
      >>> logits.shape, codes.shape
      ((5, 4), (5, 4, 4))
    """

    def __init__(
        self,
        inner: int,
        hidden: int,
        classes: int,
        *,
        rngs: nnx.Rngs,
        dtype: DTypeLike = jnp.float32,
    ) -> None:
        shared = {"rngs": rngs, "dtype": dtype}
        self.linear1 = Linear(inner, hidden, **shared)
        self.linear2 = Linear(hidden, hidden, **shared)
        self.classes = Linear(hidden, classes + 1, **shared)
        self.codes = Linear(hidden, 4 * (classes + 1), **shared)

    def __call__(
        self, x: Float[Array, "R I"]
    ) -> tuple[Float[Array, "R K+1"], Float[Array, "R K+1 4"]]:
        """Logits and codes of what lies within R boxes; background comes first."""
        x = jax.nn.relu(self.linear2(jax.nn.relu(self.linear1(x))))
        return self.classes(x), self.codes(x).reshape(len(x), -1, 4)
