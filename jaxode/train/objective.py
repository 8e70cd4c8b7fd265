"""The objective of a classifier as a function of its parameters, for `jax.value_and_grad`."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxode.losses import cross_entropy
from jaxode.ode import Stats
from jaxode.types import Images, Labels, Params


def mean_cross_entropy(
    graph: nnx.GraphDef[Any], params: Params, images: Images, labels: Labels
) -> tuple[jax.Array, tuple[jax.Array, Stats]]:
    """Mean cross-entropy of a batch; beside it the logits and the statistics of the solves.

    Args:
      graph: of the model, from `nnx.split(model, nnx.Param)`.
      params: its parameters.
      images: [B, H, W, C], as the model takes them.
      labels: [B], class numbers.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxode import ModelConfig, SolveConfig, create_model
      >>> model = create_model(ModelConfig("mlp"), SolveConfig(), image_shape=(4, 4, 1),
      ...     classes=3, rngs=nnx.Rngs(0))
      >>> graph, params = nnx.split(model, nnx.Param)
      >>> slope = jax.jit(jax.value_and_grad(mean_cross_entropy, argnums=1, has_aux=True),
      ...     static_argnums=0)
      >>> (loss, (logits, _)), gradient = slope(
      ...     graph, params, jnp.zeros((2, 4, 4, 1)), jnp.array([0, 2]))
      >>> logits.shape
      (2, 3)
    """
    logits, stats = nnx.merge(graph, params)(images)
    return cross_entropy(logits, labels, jnp.ones(len(labels), images.dtype)), (logits, stats)
