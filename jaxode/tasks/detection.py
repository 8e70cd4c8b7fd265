"""Detection: four losses, hits and misses by score, average precisions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxode.detection.average_precision import average_precision_of_counts
from jaxode.detection.counting import counted
from jaxode.detection.matches import Truth
from jaxode.detection.scores import detection_scores, from_counts
from jaxode.models.detector_interface import LOSSES, DetectorInputs, DetectorOutputs
from jaxode.plots import detections as plots
from jaxode.tasks.base import Batch, Metrics, Model, Predictions, Task, call_model

CURVES = "precision_recall.png"


class Detection(Task[DetectorOutputs]):
    """Objects of K classes and their boxes, by the sum of Faster R-CNN's four losses.

    A batch has `image`, `extent`, `boxes`, `classes` and `difficult`, as `BoxedImages.examples`
    has them. After every epoch the sums give precision, recall, F1 and an average precision whose
    scores are rounded to 50 steps; the exact ones are in the result's `detection`.

    Source: Ren et al. 2015, "Faster R-CNN".

    Args:
      classes: K.
      monitor: metric that selects the best checkpoint, as of `Task`.

    Example:
      >>> from jaxode.tasks import Detection
      >>> Detection(3).monitor
      'test_ap50'
    """

    name = "detection"
    examples = "images"
    loss_title = "sum of four losses"
    curve = ("ap50", "average precision at overlap 0.5", 1.0)

    def __init__(self, classes: int, monitor: str = "test_ap50") -> None:
        self.classes = classes
        self.monitor, self.mode = monitor, "min" if monitor.endswith("loss") else "max"

    def loss(
        self, model: Model, batch: Batch, total: Float[Array, ""]
    ) -> tuple[Float[Array, ""], DetectorOutputs]:
        """Share of the mean over images of the sum of the four losses."""
        inputs = DetectorInputs(batch["image"], batch["extent"], batch["boxes"], batch["classes"])
        outputs: DetectorOutputs = call_model(model, inputs, batch)
        assert outputs.losses is not None
        weight = batch["weight"]
        losses = jnp.where(weight > 0, outputs.losses.sum(1), 0)
        return jnp.sum(losses * weight) / total, outputs

    def metrics(self, outputs: DetectorOutputs, batch: Batch) -> Metrics:
        """Hits and misses by class and score, objects by class, the four losses, and images."""
        assert outputs.losses is not None
        assert outputs.detections is not None
        real = batch["weight"] > 0
        rows = outputs.detections.at[:, :, 5].set(
            jnp.where(real[:, None], outputs.detections[:, :, 5], -1)
        )
        classes = jnp.where(real[:, None], batch["classes"], -1)

        def count(rows: Array, boxes: Array, classes: Array, difficult: Array) -> Metrics:
            return counted(rows, boxes, classes, difficult, self.classes)

        each = jax.vmap(count)(rows, batch["boxes"], classes, batch["difficult"])
        sums = jax.tree.map(lambda counts: counts.sum(0, dtype=jnp.int32), each)
        losses = jnp.where(real[:, None], outputs.losses, 0).sum(0)
        return {**sums, "losses": losses, "images": real.sum(dtype=jnp.int32)}

    def summarize(self, metrics: Mapping[str, np.ndarray]) -> dict[str, float]:
        """`ap50`; `precision`, `recall` and `f1` at the best score; the four losses."""
        hits, misses, objects = (
            np.asarray(metrics[name], np.int64) for name in ("hits", "misses", "objects")
        )
        known = [kind for kind in range(self.classes) if objects[kind]]
        each = [
            average_precision_of_counts(hits[kind][::-1], misses[kind][::-1], int(objects[kind]))
            for kind in known
        ]
        found = np.cumsum(hits.sum(0)[::-1])
        shown = found + np.cumsum(misses.sum(0)[::-1])
        best = int(np.argmax(2 * found / np.maximum(shown + objects.sum(), 1)))
        means = np.asarray(metrics["losses"], np.float64) / max(int(metrics["images"]), 1)
        return {
            "ap50": float(np.mean(each)) if each else 0.0,
            **from_counts(int(found[best]), int(shown[best]), int(objects.sum())),
            **{f"{name}_loss": float(mean) for name, mean in zip(LOSSES, means, strict=True)},
        }

    def headline(self) -> tuple[str, ...]:
        """Losses, average precision, precision, recall and F1."""
        scores = ("ap50", "precision", "recall", "f1")
        return ("loss", "test_loss", "train_ap50", *(f"test_{name}" for name in scores))

    def progress_text(self, record: Mapping[str, Any]) -> list[str]:
        """Average precision and F1 of the test split."""
        return [f"test AP50 {record['test_ap50']:.4f}, F1 {record['test_f1']:.4f}"]

    def predictions(self, outputs: DetectorOutputs, batch: Batch) -> dict[str, Array]:
        """The detections, whether they count or not, and the loss of each image."""
        assert outputs.losses is not None
        assert outputs.detections is not None
        return {"detections": outputs.detections, "loss": outputs.losses.sum(1)}

    def stored(self, predictions: Predictions, examples: Mapping[str, np.ndarray]) -> Predictions:
        """The detections, and the objects of the images."""
        truth = {name: examples[name] for name in ("boxes", "classes", "difficult")}
        return {**predictions, **truth}

    def is_stored(self, arrays: Predictions) -> bool:
        """Whether detections are six real numbers each, and objects are as many as images."""
        rows, boxes, classes = arrays["detections"], arrays["boxes"], arrays["classes"]
        return (
            rows.dtype.kind == boxes.dtype.kind == arrays["loss"].dtype.kind == "f"
            and rows.ndim == boxes.ndim == 3
            and rows.shape[2] == 6
            and boxes.shape == (*classes.shape, 4)
            and classes.dtype.kind == "i"
            and arrays["difficult"].shape == classes.shape
            and len(rows) == len(classes) == len(arrays["loss"])
            and int(rows[..., 5].max(initial=-1)) < self.classes
        )

    def belong(self, stored: Predictions, examples: Mapping[str, np.ndarray]) -> bool:
        """Whether the objects are equal."""
        return all(
            np.array_equal(stored[name], examples[name])
            for name in ("boxes", "classes", "difficult")
        )

    def report(self, stored: Predictions, spec: Any) -> dict[str, Any]:
        """The scores of `jaxode.detection.detection_scores`."""
        scores = detection_scores(stored["detections"], truth_of(stored), spec.class_names)
        return {"detection": scores}

    def report_names(self, stored: Predictions) -> tuple[str, ...]:
        """`detection`."""
        return ("detection",)

    def plots(
        self, stored: Predictions, examples: Mapping[str, np.ndarray], spec: Any, title: str
    ) -> dict[str, bytes]:
        """Precision over recall of each class."""
        curves = plots.class_curves(stored["detections"], truth_of(stored), spec.class_names)
        return {CURVES: plots.draw_curves(curves, title)}

    def plot_names(self, stored: Predictions) -> tuple[str, ...]:
        """precision_recall.png."""
        return (CURVES,)


def truth_of(stored: Predictions) -> Truth:
    """The objects of stored predictions.

    Args:
      stored: with `boxes`, `classes` and `difficult`.
    """
    return Truth(stored["boxes"], stored["classes"], stored["difficult"].astype(bool))
