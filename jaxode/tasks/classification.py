"""Classification: one class an example, cross-entropy, accuracy and macro scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from jaxode import metrics
from jaxode.checks import require_count
from jaxode.losses import cross_entropy
from jaxode.plots import confusion_matrix, nfe_by_class
from jaxode.tasks import solver_costs
from jaxode.tasks.base import Batch, Metrics, Predictions, Task, call_model
from jaxode.types import Logits

CONFUSION, NFE_BY_CLASS = "confusion.png", "nfe_by_class.png"


class Classification(Task):
    """Images or other inputs to one of K classes.

    Args:
      classes: K, the length of the model's logits.
      inputs: the batch's array that the model takes.

    Example:
      >>> from jaxode.tasks import Classification
      >>> Classification(10).monitor
      'test_accuracy'
    """

    name = "classification"
    monitor = "test_accuracy"
    mode = "max"
    loss_title = "cross-entropy"
    curve = ("accuracy", "accuracy in %", 100.0)

    def __init__(self, classes: int, inputs: str = "image") -> None:
        require_count("classes", classes)
        self.classes, self.inputs = classes, inputs

    def loss(
        self, model: nnx.Module, batch: Batch, total: Float[Array, ""]
    ) -> tuple[Float[Array, ""], Logits]:
        """Cross-entropy in nats; the outputs are the logits [B, K]."""
        logits = call_model(model, batch[self.inputs], batch)
        return cross_entropy(logits, batch["label"], batch["weight"], total), logits

    def metrics(self, outputs: Logits, batch: Batch) -> Metrics:
        """The confusion matrix [K, K]: rows are labels, columns predicted classes."""
        return {"confusion": metrics.confusion(outputs, batch["label"], batch["weight"])}

    def summarize(self, sums: Mapping[str, np.ndarray]) -> dict[str, float]:
        """Accuracy, and macro precision, recall and F1, each in [0, 1]."""
        counts = np.asarray(sums["confusion"])
        macro = {f"macro_{score}": value for score, value in metrics.macro(counts).items()}
        return {"accuracy": metrics.accuracy(counts), **macro}

    def headline(self) -> tuple[str, ...]:
        """Losses, accuracies and macro scores."""
        return (
            "loss", "test_loss", "train_accuracy", "test_accuracy", "train_macro_f1",
            "test_macro_precision", "test_macro_recall", "test_macro_f1",
        )  # fmt: skip

    def progress_text(self, record: Mapping[str, Any]) -> list[str]:
        """Accuracies in per cent."""
        train = record["train_accuracy"]
        shown = [] if train is None else [f"train {100 * train:.2f} %"]
        return [*shown, f"test {100 * record['test_accuracy']:.2f} %"]

    def result_text(self, result: Mapping[str, Any]) -> str:
        """Accuracies in per cent, and the macro F1 score."""
        return (
            f"test accuracy {100 * result['test_accuracy']:.2f} %,"
            f" macro F1 {result['test_macro_f1']:.4f},"
            f" training accuracy {100 * result['train_accuracy']:.2f} %"
            f" (best test {100 * result['best_test_accuracy']:.2f} %"
            f" in epoch {result['best_epoch']})"
        )

    def predictions(self, outputs: Logits, batch: Batch) -> dict[str, Array]:
        """The logits."""
        return {"logits": outputs}

    def stored(self, predictions: Predictions, examples: Mapping[str, np.ndarray]) -> Predictions:
        """Label, predicted class and its probability: [N] each."""
        return {"label": examples["label"], **top1(predictions["logits"])}

    def is_stored(self, arrays: Predictions) -> bool:
        """Whether labels and predicted classes are whole numbers, and probabilities are not."""
        whole, probability = (
            [arrays[name] for name in ("label", "predicted")],
            arrays["probability"],
        )
        return (
            all(array.dtype.kind in "iu" and array.min(initial=0) >= 0 for array in whole)
            and probability.dtype.kind == "f"
            and all(array.ndim == 1 for array in (*whole, probability))
        )

    def belong(self, stored: Predictions, examples: Mapping[str, np.ndarray]) -> bool:
        """Whether the labels are the same and no predicted class is beyond the last."""
        same = np.array_equal(stored["label"], examples["label"])
        return same and stored["predicted"].max() < self.classes

    def report(self, stored: Predictions, spec: Any) -> dict[str, Any]:
        """Scores and confusion matrix by class; of per-sample step sizes, also each class's NFE."""
        names = spec.class_names
        found: dict[str, Any] = {
            "classification": metrics.report(confusion_of(stored, len(names)), names)
        }
        if "nfe" in stored:
            found["nfe_per_image"] = solver_costs.by_class(stored, names)
        return found

    def report_names(self, stored: Predictions) -> tuple[str, ...]:
        """One value, or two where each image was solved with its own step size."""
        return ("classification", "nfe_per_image") if "nfe" in stored else ("classification",)

    def plots(
        self, stored: Predictions, examples: Mapping[str, np.ndarray], spec: Any, title: str
    ) -> dict[str, bytes]:
        """The confusion matrix; of per-sample step sizes, also NFE by class with extreme images."""
        names = spec.class_names
        counts = confusion_of(stored, len(names))
        drawn = {CONFUSION: confusion_matrix.draw(counts, names, title)}
        if "nfe" in stored:
            nfe, labels = stored["nfe"].sum(1), stored["label"]
            images = solver_costs.extreme_examples(stored, examples[self.inputs], names)
            drawn[NFE_BY_CLASS] = nfe_by_class.draw(nfe, labels, names, images, title)
        return drawn

    def plot_names(self, stored: Predictions) -> tuple[str, ...]:
        """One file, or two where each image was solved with its own step size."""
        return (CONFUSION, NFE_BY_CLASS) if "nfe" in stored else (CONFUSION,)


def top1(logits: Float[np.ndarray, "N K"]) -> Predictions:
    """The class of the largest logit of each row [N], and its softmax probability [N]."""
    above = np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True))
    probability = (1 / above.sum(1)).astype(np.float32)
    return {"predicted": logits.argmax(1).astype(np.int32), "probability": probability}


def confusion_of(stored: Predictions, classes: int) -> metrics.Confusion:
    """Examples of each class (row) by predicted class (column): [classes, classes]."""
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (stored["label"], stored["predicted"]), 1)
    return counts
