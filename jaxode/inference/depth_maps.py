"""A trained model of depth: loaded from its run, shown pictures of any size."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float, UInt8

from jaxode.checks import ConfigError, one_line
from jaxode.data.depth.folder import fitted
from jaxode.data.depth.views import depth_views
from jaxode.inference.inputs import Picture, named_pictures
from jaxode.inference.loading import load
from jaxode.inference.own_model import TrainedModule
from jaxode.inference.run_checkpoint import Which
from jaxode.models.depth import DepthNet
from jaxode.models.depth_config import FILE, DepthModelConfig, create_depth_model
from jaxode.runs import read_config
from jaxode.strict_json import read_object


class DepthMap(NamedTuple):
    """The depth found in a picture.

    Args:
      name: of the picture's file, or its number.
      image: what the model was shown: the middle of the picture in the shape of its canvas.
      depth: in metres, of every pixel of it.

    Example:
      >>> import numpy as np
      >>> from jaxode.inference import DepthMap
      >>> found = DepthMap("kitchen.jpg", np.zeros((6, 8, 3), np.uint8), np.full((6, 8), 2.5))
      >>> float(found.depth.mean())
      2.5
    """

    name: str
    image: UInt8[np.ndarray, "H W 3"]
    depth: Float[np.ndarray, "H W"]


class TrainedDepth:
    """A trained model of depth with what its pictures go through.

    Args:
      trained: the model.
      config: its sizes, and mean and standard deviation of its pictures.

    Example:
      >>> from jaxode.inference import load_depth_model
      >>> model = load_depth_model("runs/depth/odenet")  # doctest: +SKIP
      >>> model.predict("kitchen.jpg")[0].depth.shape  # doctest: +SKIP
      (120, 160)
    """

    def __init__(self, trained: TrainedModule, config: DepthModelConfig) -> None:
        self.trained, self.config = trained, config
        self._view = jax.jit(depth_views(config.mean, config.std, ()).evaluation)

    def predict(
        self, pictures: Picture | Sequence[Picture], *, batch_size: int = 8
    ) -> list[DepthMap]:
        """The depth of pictures.

        Of a picture of another shape than the canvas the middle is taken, as in training.

        Args:
          pictures: one or several: files, folders, Pillow's images or arrays.
          batch_size: pictures that are computed together.

        Raises:
          ConfigError: what is no picture.
          SolveError: a solve failed.
        """
        size = self.config.height, self.config.columns
        given = [(name, fitted(picture, size)) for name, picture in named_pictures(pictures)]
        if not given:
            raise ConfigError("pictures must be at least one, got none")
        images = jnp.asarray(np.stack([image for _, image in given]))
        shown = self._view({"image": images, "depth": jnp.zeros(images.shape[:3], jnp.float32)})
        found = self.trained.predict(np.asarray(shown["image"]), batch_size=batch_size)
        return [
            DepthMap(name, image, np.exp(log_depth))
            for (name, image), log_depth in zip(given, found, strict=True)
        ]


def is_depth_model(run: str | os.PathLike[str]) -> bool:
    """Whether a directory is the run of a model of depth.

    Args:
      run: the directory.

    Example:
      >>> from jaxode.inference import is_depth_model
      >>> is_depth_model("nowhere")
      False
    """
    return (Path(run) / FILE).is_file()


def load_depth_model(
    run: str | os.PathLike[str], *, checkpoint: Which = "last", **solve: Any
) -> TrainedDepth:
    """The trained model of depth of a run.

    Args:
      run: directory that `python -m experiments.depth` wrote.
      checkpoint: the last one, or that of the epoch with the best monitored metric.
      **solve: settings of the solve that differ from those in training.

    Raises:
      ConfigError: it is no such run, or one whose files are damaged.

    Example:
      >>> from jaxode.inference import load_depth_model
      >>> load_depth_model("nowhere")
      Traceback (most recent call last):
      jaxode.checks.ConfigError: nowhere must be the run of a model of depth, and has no depth.json
    """
    path = Path(run)
    if not is_depth_model(path):
        raise ConfigError(f"{path} must be the run of a model of depth, and has no {FILE}")
    try:
        which = DepthModelConfig.from_json(read_object(path / FILE))
        settings = read_config(path, DepthNet)
    except (OSError, ValueError) as error:
        raise ConfigError(one_line(error)) from error
    changed = settings.replaced(**solve).solve if solve else settings.solve
    model = create_depth_model(which, changed, nnx.Rngs(0))
    trained: Any = load(path, model=model, checkpoint=checkpoint)
    return TrainedDepth(trained, which)
