"""A multi-layer perceptron (LeCun et al. 1998, 784-300-10)."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from jaxode.config import MODEL_FACTS
from jaxode.models.base import Model, Request, register_model
from jaxode.nn.layers import Linear
from jaxode.ode import Stats
from jaxode.types import Images, Logits, Training

HIDDEN = 300
"""Hidden units."""


class MLP(nnx.Module):
    """flatten · linear · ReLU · linear."""

    def __init__(self, inputs: int, classes: int, *, rngs: nnx.Rngs, dtype: jnp.dtype) -> None:
        """`inputs` numbers an image, HIDDEN hidden units."""
        self.linear1 = Linear(inputs, HIDDEN, rngs=rngs, dtype=dtype)
        self.linear2 = Linear(HIDDEN, classes, rngs=rngs, dtype=dtype)

    def features(self, images: Images) -> tuple[Float[Array, "B H"], Stats]:
        """Hidden units [B, HIDDEN]; nothing is solved."""
        return jax.nn.relu(self.linear1(images.reshape(images.shape[0], -1))), Stats.chain([])

    def __call__(self, images: Images, training: Training | None = None) -> tuple[Logits, Stats]:
        """Logits [B, classes] and empty statistics."""
        hidden, stats = self.features(images)
        return self.linear2(hidden), stats


def build(request: Request) -> MLP:
    """A perceptron with fresh parameters, drawn as PyTorch draws them."""
    inputs = math.prod(request.image_shape)
    return MLP(inputs, request.classes, rngs=request.rngs, dtype=request.dtype)


register_model(Model(MODEL_FACTS["mlp"], build))
