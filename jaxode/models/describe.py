"""How large a model is, and the shapes of what it computes."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxode.config import ModelConfig, SolveConfig
from jaxode.models.create import create_model
from jaxode.types import Images, Params


def parameter_count(model: nnx.Module) -> int:
    """Number of trained numbers."""
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(nnx.state(model, nnx.Param)))


def describe(
    model: ModelConfig, solve: SolveConfig, *, image_shape: tuple[int, int, int], classes: int
) -> dict[str, Any]:
    """Name, parameter count and shapes of a model as JSON values.

    Nothing is computed and nothing allocated.

    Args:
      model: its settings.
      solve: how ODE blocks are solved.
      image_shape: height, width and channels of an image.
      classes: number of classes.

    Raises:
      ConfigError: see `create_model`.

    Example:
      >>> from jaxode import ModelConfig, SolveConfig
      >>> from jaxode.models import describe
      >>> facts = describe(ModelConfig(), SolveConfig(), image_shape=(28, 28, 1), classes=10)
      >>> facts["parameters"], facts["shapes"]["features"]
      (208266, [6, 6, 64])
    """
    abstract = nnx.eval_shape(
        lambda: create_model(
            model, solve, image_shape=image_shape, classes=classes, rngs=nnx.Rngs(0)
        )
    )
    graph, state = nnx.split(abstract)

    def shapes(params: Params, images: Images) -> dict[str, Any]:
        built: Any = nnx.merge(graph, params)
        found = {}
        if hasattr(built, "downsample"):
            found["downsampled"] = built.downsample(images)
        if hasattr(built, "features"):
            found["features"] = built.features(images)[0]
        outputs = built(images)
        return found | {"logits": outputs[0] if isinstance(outputs, tuple) else outputs}

    images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    found = jax.eval_shape(shapes, state, images)
    parameters = {
        ".".join(map(str, path)): list(value.shape) for path, value in nnx.to_flat_state(state)
    }
    return {
        "model": model.name,
        "blocks": model.blocks,
        "width": model.width,
        "augment_dims": model.augment_dims,
        "stem": model.stem,
        "classes": classes,
        "parameters": parameter_count(abstract),
        "shapes": (
            {"image": list(image_shape)}
            | {name: list(value.shape[1:]) for name, value in found.items()}
        ),
        "parameter_shapes": parameters,
    }
