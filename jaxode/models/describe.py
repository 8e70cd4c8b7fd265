"""Parameter count of a model, and the shapes of its parameters and outputs."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PyTree

from jaxode.config import ModelConfig, SolveConfig
from jaxode.models.create import create_model
from jaxode.types import Images


def parameter_count(model: nnx.Module) -> int:
    """Number of trainable parameters of a module: elements of its `nnx.Param` variables.

    Example:
      >>> from flax import nnx
      >>> from jaxode.models import parameter_count
      >>> parameter_count(nnx.Linear(3, 2, rngs=nnx.Rngs(0)))
      8
    """
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(nnx.state(model, nnx.Param)))


def describe(
    model: ModelConfig, solve: SolveConfig, *, image_shape: tuple[int, int, int], classes: int
) -> dict[str, Any]:
    """Name, parameter count and shapes of a model as JSON values; nothing is computed or allocated.

    Args:
      model: its settings.
      solve: how ODE blocks are solved.
      image_shape: height, width and channels of an image.
      classes: number of classes.

    Returns:
      The settings of `ModelConfig`, `classes`, `parameters` (their number), `parameter_shapes` by
      path, and `shapes` (of an image, of segments that the model has, and of the logits).

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

    def evaluate(params: PyTree, images: Images) -> dict[str, Float[Array, "B ..."]]:
        built: Any = nnx.merge(graph, params)
        out = {}
        if hasattr(built, "downsample"):
            out["downsampled"] = built.downsample(images)
        if hasattr(built, "features"):
            out["features"] = built.features(images)[0]
        outputs = built(images)
        return out | {"logits": outputs[0] if isinstance(outputs, tuple) else outputs}

    images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    shapes = jax.eval_shape(evaluate, state, images)
    parameters = {
        ".".join(map(str, path)): list(value.shape) for path, value in nnx.to_flat_state(state)
    }
    return {
        "model": model.name,
        "blocks": model.blocks,
        "width": model.width,
        "augment_dims": model.augment_dims,
        "stem": model.stem,
        "downsampling_method": model.downsampling_method,
        "classes": classes,
        "parameters": parameter_count(abstract),
        "shapes": (
            {"image": list(image_shape)}
            | {name: list(value.shape[1:]) for name, value in shapes.items()}
        ),
        "parameter_shapes": parameters,
    }
