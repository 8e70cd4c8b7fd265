"""A dense classifier of two-band radar images.

Source: B. Thind, "A Gentle Introduction to Neural Differential Equations".
"""

from __future__ import annotations

import itertools
import math

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxode.config import MODEL_FACTS
from jaxode.models.base import Model, Request, register_model
from jaxode.nn.layers import Linear
from jaxode.ode import Stats
from jaxode.types import Images, Logits, Training

HIDDEN = 128
"""Units of a layer."""


class DenseClassifier(nnx.Module):
    """flatten · 4 × (linear 128 · ReLU) · linear 1: a score s, returned as the two logits [0, s].

    The softmax of [0, s] is [1 - σ(s), σ(s)], so cross-entropy over the two classes is exactly the
    binary cross-entropy of a sigmoid. 769 793 parameters for an image of 75x75.

    Source: B. Thind, "A Gentle Introduction to Neural Differential Equations".

    Args:
      inputs: numbers of an image, H · W · C.
      rngs: stream `params` of keys.
      dtype: floating-point type of the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxode.models import DenseClassifier
      >>> model = DenseClassifier(75 * 75, rngs=nnx.Rngs(0), dtype=jnp.float32)
      >>> model(jnp.zeros((1, 75, 75, 1)))[0].shape
      (1, 2)
    """

    def __init__(self, inputs: int, *, rngs: nnx.Rngs, dtype: DTypeLike) -> None:
        pairs = itertools.pairwise((inputs, HIDDEN, HIDDEN, HIDDEN, HIDDEN, 1))
        self.layers = nnx.List([Linear(*pair, rngs=rngs, dtype=dtype) for pair in pairs])

    def features(
        self, images: Images, training: Training | None = None
    ) -> tuple[Float[Array, "B hidden"], Stats]:
        """Last hidden units [B, 128] and empty statistics; training changes nothing."""
        del training
        out = images.reshape(images.shape[0], -1)
        for layer in self.layers[:-1]:
            out = jax.nn.relu(layer(out))
        return out, Stats.chain([])

    def __call__(self, images: Images, training: Training | None = None) -> tuple[Logits, Stats]:
        """Logits [B, 2] of images [B, H, W, C], and empty statistics."""
        hidden, stats = self.features(images, training)
        score = self.layers[-1](hidden)
        return jnp.concatenate([jnp.zeros_like(score), score], 1), stats


def build_dense(request: Request) -> DenseClassifier:
    """A dense classifier with initial parameters of PyTorch's distributions."""
    inputs = math.prod(request.image_shape)
    return DenseClassifier(inputs, rngs=request.rngs, dtype=request.dtype)


register_model(Model(MODEL_FACTS["dense"], build_dense))
