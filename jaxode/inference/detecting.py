"""A trained detector: loaded from its run, shown pictures of any size."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float
from PIL import Image

from jaxode.checks import ConfigError, one_line, shown
from jaxode.data.detection import on_canvas
from jaxode.data.detection.views import detection_views
from jaxode.inference.inputs import Picture, named_pictures
from jaxode.inference.loading import load
from jaxode.inference.own_model import TrainedModule
from jaxode.inference.run_checkpoint import Which
from jaxode.models.detector import Detector, DetectorInputs, DetectorOutputs
from jaxode.models.detector_config import FILE, DetectorConfig, create_detector
from jaxode.runs import read_config
from jaxode.strict_json import read_object

FACTS = "pictures.json"
"""Where a run has the names of its classes, and mean and standard deviation of its pixels."""

USUAL_SCORE = 0.5


class Detected(NamedTuple):
    """The objects found in a picture.

    Args:
      name: of the picture's file, or its number.
      picture: in RGB.
      rows: by falling score: box in pixels of the picture, score, class.

    Example:
      >>> import numpy as np
      >>> from PIL import Image
      >>> from jaxode.inference import Detected
      >>> Detected("cells.jpg", Image.new("RGB", (64, 48)), np.zeros((0, 6))).picture.size
      (64, 48)
    """

    name: str
    picture: Image.Image
    rows: Float[np.ndarray, "D 6"]


class TrainedDetector:
    """A trained detector with what its pictures go through.

    Args:
      trained: the model.
      config: its sizes.
      class_names: of its classes.
      mean: of each channel's pixels, of 0 to 1.
      std: standard deviation of each channel's pixels.
      score: that a detection has at least, if nothing else is asked for.

    Example:
      >>> from jaxode.inference import load_detector
      >>> detector = load_detector("runs/detection/bccd")  # doctest: +SKIP
      >>> detector.detect("cells.jpg")[0].rows.shape  # doctest: +SKIP
      (14, 6)
    """

    def __init__(
        self,
        trained: TrainedModule,
        config: DetectorConfig,
        class_names: Sequence[str],
        mean: Sequence[float],
        std: Sequence[float],
        score: float = USUAL_SCORE,
    ) -> None:
        self.trained, self.config, self.score = trained, config, score
        self.class_names = tuple(class_names)
        self._view = detection_views(mean, std).evaluation

    def detect(
        self,
        pictures: Picture | Sequence[Picture],
        *,
        score: float | None = None,
        batch_size: int = 8,
    ) -> list[Detected]:
        """The objects in pictures.

        Args:
          pictures: one or several: files, folders, Pillow's images or arrays.
          score: that a detection has at least; None for the run's own.
          batch_size: pictures that are computed together.

        Raises:
          ConfigError: what is no picture.
          SolveError: a solve failed.
        """
        least = self.score if score is None else score
        given = list(named_pictures(pictures))
        if not given:
            raise ConfigError("pictures must be at least one, got none")
        shown = [on_canvas(each, self.config.rows, self.config.columns) for _, each in given]
        found = []
        for begin in range(0, len(shown), batch_size):
            part = shown[begin : begin + batch_size]
            batch = {
                "image": jnp.asarray(np.stack([each.pixels for each in part])),
                "extent": jnp.asarray(np.stack([each.extent for each in part])),
                "boxes": jnp.zeros((len(part), 0, 4), jnp.float32),
            }
            inputs = DetectorInputs(self._view(batch)["image"], batch["extent"])
            outputs: DetectorOutputs = self.trained.predict(inputs, batch_size=batch_size)
            assert outputs.detections is not None
            found += list(outputs.detections)
        results = []
        for (name, picture), canvas, rows in zip(given, shown, found, strict=True):
            kept = rows[(rows[:, 5] >= 0) & (rows[:, 4] >= least)].astype(np.float64)
            kept[:, :4] /= np.tile(canvas.scale, 2)
            results.append(Detected(name, picture, kept))
        return results

    def table(self, found: Sequence[Detected]) -> str:
        """A line for each object: picture, class, score, box in pixels."""
        lines = []
        for each in found:
            if not len(each.rows):
                lines.append(f"{each.name}  nothing")
            for *box, score, kind in each.rows:
                corners = " ".join(f"{value:.1f}" for value in box)
                lines.append(f"{each.name}  {self.class_names[int(kind)]}  {score:.4f}  {corners}")
        return "\n".join(lines)

    def to_csv(self, found: Sequence[Detected]) -> str:
        """The same as CSV."""
        target = io.StringIO()
        writer = csv.writer(target, lineterminator="\n")
        writer.writerow(["picture", "class", "score", "xmin", "ymin", "xmax", "ymax"])
        for each in found:
            for *box, score, kind in each.rows:
                numbers = [f"{value:.2f}" for value in box]
                writer.writerow([each.name, self.class_names[int(kind)], f"{score:.6f}", *numbers])
        return target.getvalue()


def is_detector(run: str | os.PathLike[str]) -> bool:
    """Whether a directory is the run of a detector.

    Args:
      run: the directory.

    Example:
      >>> from jaxode.inference import is_detector
      >>> is_detector("nowhere")
      False
    """
    return (Path(run) / FILE).is_file()


def load_detector(
    run: str | os.PathLike[str], *, checkpoint: Which = "last", **solve: Any
) -> TrainedDetector:
    """The trained detector of a run.

    Args:
      run: directory that `python -m experiments.detection` wrote.
      checkpoint: the last one, or that of the epoch with the best monitored metric.
      **solve: settings of the solve that differ from those in training.

    Raises:
      ConfigError: it is no such run, or one whose files are damaged.

    Example:
      >>> from jaxode.inference import load_detector
      >>> load_detector("nowhere")
      Traceback (most recent call last):
      jaxode.checks.ConfigError: nowhere must be the run of a detector, and has no detector.json
    """
    path = Path(run)
    if not is_detector(path):
        raise ConfigError(f"{path} must be the run of a detector, and has no {FILE}")
    try:
        which = DetectorConfig.from_json(read_object(path / FILE))
        names, mean, std = _facts(path / FACTS, which.classes)
        settings = read_config(path, Detector)
    except (OSError, ValueError) as error:
        raise ConfigError(one_line(error)) from error
    changed = settings.replaced(**solve).solve if solve else settings.solve
    model = create_detector(which, changed, rngs=nnx.Rngs(0))
    trained: Any = load(path, model=model, checkpoint=checkpoint)
    return TrainedDetector(trained, which, names, mean, std, _score_of(path))


def _facts(path: Path, classes: int) -> tuple[list[str], list[float], list[float]]:
    """Class names, mean and standard deviation. Raises ConfigError, OSError, ValueError."""
    values: Any = read_object(path)
    names, mean, std = (values.get(key) for key in ("class_names", "mean", "std"))
    named = isinstance(names, list) and len(names) == classes
    if not named or not all(isinstance(name, str) for name in names):
        raise ConfigError(f"{path}: class_names must be {classes} texts, got {shown(names)}")
    for key, numbers, least in (("mean", mean, 0.0), ("std", std, 1e-6)):
        three = isinstance(numbers, list) and len(numbers) == 3
        if not three or not all(isinstance(x, float) and least <= x <= 1e6 for x in numbers):
            raise ConfigError(
                f"{path}: {key} must be 3 numbers from {least:g}, got {shown(numbers)}"
            )
    return names, mean, std


def _score_of(run: Path) -> float:
    """The score of the largest F1 on the test images, if the run has found it."""
    try:
        found: Any = read_object(run / "result.json")
        score = found["detection"]["threshold"]
    except (OSError, ValueError, KeyError, TypeError):
        return USUAL_SCORE
    return score if isinstance(score, float) and 0 <= score <= 1 else USUAL_SCORE
