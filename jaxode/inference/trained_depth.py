"""A trained model of depth: loaded from its run, shown pictures of any size."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxode.checks import ConfigError, one_line, require
from jaxode.data.depth import DepthPairs, DepthReading
from jaxode.data.depth.folder import fitted
from jaxode.data.depth.views import depth_views
from jaxode.data.streaming import Examples
from jaxode.inference.base import Trained
from jaxode.inference.depth_maps import DepthMap, DepthMaps
from jaxode.inference.inputs import Picture, named_pictures
from jaxode.inference.own_model import TrainedModule
from jaxode.inference.recorded_run import recorded_run
from jaxode.inference.run_checkpoint import Which
from jaxode.models.depth_config import FILE, DepthModelConfig, create_depth_model
from jaxode.strict_json import read_object
from jaxode.tasks import DepthEstimation

logger = logging.getLogger(__name__)

EXPERIMENT = "experiment.json"
"""Where a run of `experiments.depth` has its settings, those of its data among them."""

BATCH = 8
"""Pictures that are computed together."""


class TrainedDepth(Trained):
    """A trained model of depth with what its pictures go through.

    Args:
      trained: the model.
      sizes: its own, and mean and standard deviation of its pictures.
      reading: how a folder is read that it is evaluated on, and which part of it is measured.
      loss: of differences of log depth, berhu or scale_invariant.

    Example:
      >>> import jaxode
      >>> model = jaxode.load("runs/depth/odenet")  # doctest: +SKIP
      >>> model.predict("kitchen.jpg")[0].depth.shape  # doctest: +SKIP
      (120, 160)
    """

    def __init__(
        self,
        trained: TrainedModule,
        sizes: DepthModelConfig,
        reading: DepthReading = DepthReading(),  # noqa: B008 - frozen
        loss: str = "berhu",
    ) -> None:
        self.config, self.origin, self.epoch = trained.config, trained.origin, trained.epoch
        self.graphdef, self.learned = trained.graphdef, trained.learned
        self.trained, self.sizes, self.reading, self.loss = trained, sizes, reading, loss
        self.task = DepthEstimation(loss)
        self.views = depth_views(sizes.mean, sizes.std, (), eigen=reading.eigen)
        self._view = jax.jit(self.views.evaluation)

    def with_solve(self, **changes: Any) -> TrainedDepth:
        """The same parameters, solved with other settings.

        Args:
          changes: fields of `jaxode.SolveConfig`.

        Raises:
          ConfigError: settings that are no solve's, or outside their ranges; or a model that
            solves no ODE.
        """
        if not changes:
            return self
        if not self.sizes.solves:
            raise ConfigError(f"{self.sizes.encoder} solves no ODE, got {', '.join(changes)}")
        config = self.config.replaced(**changes)
        model = nnx.eval_shape(lambda: create_depth_model(self.sizes, config.solve, nnx.Rngs(0)))
        origin, epoch = self.trained.origin, self.trained.epoch
        trained = TrainedModule(config, model, self.learned, origin, epoch)
        return TrainedDepth(trained, self.sizes, self.reading, self.loss)

    def read_as(self, *, per_metre: float | None = None, crop: str | None = None) -> TrainedDepth:
        """The same model, evaluated on folders of another unit, or on another part of pictures.

        Args:
          per_metre: value of a metre in depth maps of whole numbers; None for that of the run.
          crop: eigen, or none for whole pictures; None for that of the run.

        Raises:
          ConfigError: a value that is not allowed.
        """
        reading = self.reading.changed(per_metre, crop)
        return TrainedDepth(self.trained, self.sizes, reading, self.loss)

    def predict(
        self, pictures: Picture | Sequence[Picture], *, batch_size: int = BATCH
    ) -> DepthMaps:
        """The depth of pictures.

        Of a picture of another shape than the canvas the middle is taken, as in training.

        Args:
          pictures: one or several: files, folders, Pillow's images or arrays.
          batch_size: pictures that are computed together.

        Raises:
          ConfigError: what is no picture.
          SolveError: a solve failed.
        """
        size = self.sizes.height, self.sizes.columns
        given = [(name, fitted(picture, size)) for name, picture in named_pictures(pictures)]
        if not given:
            raise ConfigError("pictures must be at least one, got none")
        images = jnp.asarray(np.stack([image for _, image in given]))
        shown = self._view({"image": images, "depth": jnp.zeros(images.shape[:3], jnp.float32)})
        found = self.trained.predict(np.asarray(shown["image"]), batch_size=batch_size)
        maps = (
            DepthMap(name, image, np.exp(log_depth))
            for (name, image), log_depth in zip(given, found, strict=True)
        )
        return DepthMaps(tuple(maps))

    def predict_files(self, paths: Sequence[Path], *, batch_size: int = BATCH) -> DepthMaps:
        """The depth of the pictures of files and folders; errors as of `predict`."""
        return self.predict(list(paths), batch_size=batch_size)

    def examples(self, data: Any) -> tuple[str, Examples]:
        """Name and arrays to evaluate on.

        Args:
          data: pairs of pictures and depth, or a folder of them as `experiments.depth` reads it,
            whose test pairs are taken.

        Raises:
          ConfigError: there are none, or of another size than the model's canvas.
          DataError: a folder that is not laid out so, or has no test pair.
        """
        if data is None:
            raise ConfigError("data must be given for a model of depth: a folder of pairs")
        size = self.sizes.height, self.sizes.columns
        if isinstance(data, DepthPairs):
            same = data.depth.shape[1:] == size
            require(same, "data", list(data.depth.shape), f"pairs of {size[0]} x {size[1]} pixels")
            return "pairs", {"image": data.images, "depth": data.depth}
        splits = self.reading.splits(Path(data), size)
        for line in splits.malformed:
            logger.warning("left out: %s", line)
        return str(data), {"image": splits.test.images, "depth": splits.test.depth}


def load_depth_model(path: Path, which: Which) -> TrainedDepth:
    """The trained model of depth of a run.

    Args:
      path: the run's directory, or that of one of its checkpoints.
      which: last or best checkpoint.

    Raises:
      ConfigError: the run cannot be read.
    """
    run, sizes, trained = recorded_run(
        path, which, FILE, DepthModelConfig.from_json, create_depth_model
    )
    file = run / EXPERIMENT
    if not file.exists():  # of `jaxode.fit`
        return TrainedDepth(trained, sizes)
    try:
        values = read_object(file)
        reading, loss = DepthReading.of_experiment(values), values.get("loss", "berhu")
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(f"{file}: {one_line(error)}") from error
    return TrainedDepth(trained, sizes, reading, loss)
