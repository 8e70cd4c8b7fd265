"""A multi-layer perceptron (LeCun et al. 1998, 784-300-10)."""

from __future__ import annotations

import math

import jax
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxode.config import MODEL_FACTS
from jaxode.models.base import Model, Request, register_model
from jaxode.nn.layers import Linear
from jaxode.ode import Stats
from jaxode.types import Images, Logits, Training

HIDDEN = 300
"""Hidden units."""


class MLP(nnx.Module):
    """flatten · linear · ReLU · linear.

    Source: LeCun et al. 1998, "Gradient-Based Learning Applied to Document Recognition", the
    784-300-10 network of Chen et al. 2018, table 1, with ReLU.

    Args:
      inputs: numbers of an image, H · W · C.
      classes: K, number of logits.
      rngs: stream `params` of keys.
      dtype: floating-point type of the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxode.models import MLP
      >>> model = MLP(784, 10, rngs=nnx.Rngs(0), dtype=jnp.float32)
      >>> model(jnp.zeros((2, 28, 28, 1)))[0].shape
      (2, 10)
    """

    def __init__(self, inputs: int, classes: int, *, rngs: nnx.Rngs, dtype: DTypeLike) -> None:
        self.linear1 = Linear(inputs, HIDDEN, rngs=rngs, dtype=dtype)
        self.linear2 = Linear(HIDDEN, classes, rngs=rngs, dtype=dtype)

    def features(self, images: Images) -> tuple[Float[Array, "B hidden"], Stats]:
        """Hidden units [B, HIDDEN] of images [B, H, W, C], and empty statistics."""
        return jax.nn.relu(self.linear1(images.reshape(images.shape[0], -1))), Stats.chain([])

    def __call__(self, images: Images, training: Training | None = None) -> tuple[Logits, Stats]:
        """Logits [B, K] of images [B, H, W, C], and empty statistics; training changes nothing."""
        hidden, stats = self.features(images)
        return self.linear2(hidden), stats


def build(request: Request) -> MLP:
    """A perceptron with initial parameters of PyTorch's distributions."""
    inputs = math.prod(request.image_shape)
    return MLP(inputs, request.classes, rngs=request.rngs, dtype=request.dtype)


register_model(Model(MODEL_FACTS["mlp"], build))
