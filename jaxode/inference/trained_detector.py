"""A trained detector: loaded from its run, shown pictures of any size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxode.checks import ConfigError, one_line, require
from jaxode.config import SolveConfig
from jaxode.data.detection import BoxedImages, on_canvas, read_voc
from jaxode.data.detection.views import detection_views
from jaxode.data.streaming import Examples
from jaxode.inference.base import Trained
from jaxode.inference.detections import Detected, Detections
from jaxode.inference.inputs import Picture, named_pictures
from jaxode.inference.own_model import TrainedModule
from jaxode.inference.recorded_run import recorded_run
from jaxode.inference.run_checkpoint import Which
from jaxode.models.detector import Detector, DetectorInputs, DetectorOutputs
from jaxode.models.detector_config import FILE, DetectorConfig, create_detector
from jaxode.strict_json import read_object
from jaxode.tasks import Detection

FACTS = "pictures.json"
"""Where a run has the names of its classes, and mean and standard deviation of its pixels."""

USUAL_SCORE = 0.5

BATCH = 8
"""Pictures that are computed together."""


class TrainedDetector(Trained):
    """A trained detector with what its pictures go through.

    Args:
      trained: the model.
      sizes: its own.
      class_names: of its classes.
      mean: of each channel's pixels, of 0 to 1.
      std: standard deviation of each channel's pixels.
      score: that a detection has at least, if nothing else is asked for.

    Example:
      >>> import jaxode
      >>> detector = jaxode.load("runs/detection/bccd")  # doctest: +SKIP
      >>> print(detector.predict("cells.jpg"))  # doctest: +SKIP
      cells.jpg  WBC  0.9973  66.1 196.8 257.2 372.9
    """

    predict_options = ("score",)

    def __init__(
        self,
        trained: TrainedModule,
        sizes: DetectorConfig,
        class_names: Sequence[str],
        mean: Sequence[float],
        std: Sequence[float],
        score: float = USUAL_SCORE,
    ) -> None:
        self.config, self.origin, self.epoch = trained.config, trained.origin, trained.epoch
        self.graphdef, self.learned = trained.graphdef, trained.learned
        self.trained, self.sizes, self.score = trained, sizes, score
        self.class_names, self.mean, self.std = tuple(class_names), mean, std
        self.task, self.views = Detection(len(self.class_names)), detection_views(mean, std)

    def with_solve(self, **changes: Any) -> TrainedDetector:
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
            raise ConfigError(f"{self.sizes.backbone} solves no ODE, got {', '.join(changes)}")
        config, sizes = self.config.replaced(**changes), self.sizes
        model = nnx.eval_shape(lambda: create_detector(sizes, config.solve, rngs=nnx.Rngs(0)))
        origin, epoch = self.trained.origin, self.trained.epoch
        trained = TrainedModule(config, model, self.learned, origin, epoch)
        about = (self.class_names, self.mean, self.std, self.score)
        return TrainedDetector(trained, self.sizes, *about)

    def predict(
        self,
        pictures: Picture | Sequence[Picture],
        *,
        score: float | None = None,
        batch_size: int = BATCH,
    ) -> Detections:
        """The objects in pictures.

        Args:
          pictures: one or several: files, folders, Pillow's images or arrays.
          score: that a detection has at least; None for that of the largest F1 on the run's test
            images.
          batch_size: pictures that are computed together.

        Raises:
          ConfigError: what is no picture.
          SolveError: a solve failed.
        """
        least = self.score if score is None else score
        given = list(named_pictures(pictures))
        if not given:
            raise ConfigError("pictures must be at least one, got none")
        shown = [on_canvas(each, self.sizes.rows, self.sizes.columns) for _, each in given]
        found: list[np.ndarray] = []
        for begin in range(0, len(shown), batch_size):
            part = shown[begin : begin + batch_size]
            batch = {
                "image": jnp.asarray(np.stack([each.pixels for each in part])),
                "extent": jnp.asarray(np.stack([each.extent for each in part])),
                "boxes": jnp.zeros((len(part), 0, 4), jnp.float32),
            }
            inputs = DetectorInputs(self.views.evaluation(batch)["image"], batch["extent"])
            outputs: DetectorOutputs = self.trained.predict(inputs, batch_size=batch_size)
            assert outputs.detections is not None
            found += list(outputs.detections)
        results = []
        for (name, picture), canvas, rows in zip(given, shown, found, strict=True):
            kept = rows[(rows[:, 5] >= 0) & (rows[:, 4] >= least)].astype(np.float64)
            kept[:, :4] /= np.tile(canvas.scale, 2)
            results.append(Detected(name, picture, kept))
        return Detections(self.class_names, tuple(results))

    def predict_files(
        self, paths: Sequence[Path], *, batch_size: int = BATCH, score: float | None = None
    ) -> Detections:
        """The objects in the pictures of files and folders; errors as of `predict`."""
        return self.predict(list(paths), score=score, batch_size=batch_size)

    def examples(self, data: Any) -> tuple[str, Examples]:
        """Name and arrays to evaluate on.

        Args:
          data: images with their boxes, or a folder in Pascal VOC's layout, of which the test
            images are read.

        Raises:
          ConfigError: there are none, or of other classes.
          DataError: malformed files.
        """
        if data is None:
            raise ConfigError("data must be given for a detector: a folder in Pascal VOC's layout")
        if isinstance(data, BoxedImages):
            return "images", data.examples
        splits = read_voc(Path(data), self.sizes.rows, self.sizes.columns)
        same = splits.class_names == self.class_names
        require(same, "data", str(data), f"of the classes {', '.join(self.class_names)}")
        return str(data), splits.test.examples


def load_detector(path: Path, which: Which) -> TrainedDetector:
    """The trained detector of a run.

    Args:
      path: the run's directory, or that of one of its checkpoints.
      which: last or best checkpoint.

    Raises:
      ConfigError: the run cannot be read.
    """

    def create(sizes: DetectorConfig, solve: SolveConfig, rngs: nnx.Rngs) -> Detector:
        return create_detector(sizes, solve, rngs=rngs)

    run, sizes, trained = recorded_run(path, which, FILE, DetectorConfig.from_json, create)
    try:
        names, mean, std = _facts(run / FACTS, sizes.classes)
    except (OSError, ValueError) as error:
        raise ConfigError(one_line(error)) from error
    return TrainedDetector(trained, sizes, names, mean, std, _score_of(run))


def _facts(path: Path, classes: int) -> tuple[list[str], list[float], list[float]]:
    """Class names, mean and standard deviation. Raises ConfigError, OSError, ValueError."""
    values: dict[str, Any] = read_object(path)
    names, mean, std = (values.get(key) for key in ("class_names", "mean", "std"))
    named = isinstance(names, list) and len(names) == classes
    if not named or not all(isinstance(name, str) for name in names or ()):
        raise ConfigError(f"{path}: class_names must be {classes} texts, got {names!r}"[:300])
    for key, numbers, least in (("mean", mean, 0.0), ("std", std, 1e-6)):
        whole = isinstance(numbers, list) and len(numbers) == 3
        if not whole or not all(
            isinstance(x, float) and math.isfinite(x) and x >= least for x in numbers or ()
        ):
            raise ConfigError(
                f"{path}: {key} must be 3 numbers from {least:g}, got {numbers!r}"[:300]
            )
    return names, mean, std  # type: ignore[return-value]


def _score_of(run: Path) -> float:
    """The score of the largest F1 on the test images, if the run has found it."""
    try:
        found: Any = read_object(run / "result.json")
        score = found["detection"]["threshold"]
    except (OSError, ValueError, KeyError, TypeError):
        return USUAL_SCORE
    return score if isinstance(score, float) and 0 <= score <= 1 else USUAL_SCORE
