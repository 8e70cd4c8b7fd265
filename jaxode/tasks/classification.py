"""Classification: one class for each example, cross-entropy, accuracy and macro scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Array, Float

from jaxode import metrics
from jaxode.checks import require_count
from jaxode.losses import cross_entropy
from jaxode.plots import confusion_matrix, nfe_by_class
from jaxode.tasks import solver_costs
from jaxode.tasks.base import Batch, Metrics, Model, Predictions, Task, call_model
from jaxode.types import Logits

CONFUSION, NFE_BY_CLASS = "confusion.png", "nfe_by_class.png"


@runtime_checkable
class HasClassNames(Protocol):
    """Facts of a data set with classes."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, in the order of their labels."""
        ...


class Classification(Task[Logits]):
    """Classification of images or other inputs, by cross-entropy.

    A batch has `label` [B] of integers 0, …, K - 1. Metrics are accuracy and macro-averaged scores.

    Args:
      classes: K, the number of the model's logits.
      inputs: name of the model's input in a batch.

    Example:
      >>> from jaxode.tasks import Classification
      >>> Classification(10).monitor
      'test_accuracy'
    """

    name = "classification"
    examples = "images"
    monitor = "test_accuracy"
    mode = "max"
    loss_title = "cross-entropy"
    curve = ("accuracy", "accuracy in %", 100.0)

    def __init__(self, classes: int, inputs: str = "image") -> None:
        require_count("classes", classes)
        self.classes, self.inputs = classes, inputs

    def loss(
        self, model: Model, batch: Batch, total: Float[Array, ""]
    ) -> tuple[Float[Array, ""], Logits]:
        """Share of the mean cross-entropy in nats, and the logits [B, K]."""
        logits = call_model(model, batch[self.inputs], batch)
        return cross_entropy(logits, batch["label"], batch["weight"], total), logits

    def metrics(self, outputs: Logits, batch: Batch) -> Metrics:
        """The confusion matrix [K, K]: rows are labels, columns predicted classes."""
        return {"confusion": metrics.confusion(outputs, batch["label"], batch["weight"])}

    def summarize(self, sums: Mapping[str, np.ndarray]) -> dict[str, float]:
        """Accuracy, and macro-averaged precision, recall and F1, each in [0, 1]."""
        counts = np.asarray(sums["confusion"])
        macro = {f"macro_{score}": value for score, value in metrics.macro(counts).items()}
        return {"accuracy": metrics.accuracy(counts), **macro}

    def headline(self) -> tuple[str, ...]:
        """Losses, accuracies and macro-averaged scores."""
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
        """Whether labels and predicted classes are integers from 0, and probabilities are real."""
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
        """Whether the labels are equal and all predicted classes below K."""
        same = np.array_equal(stored["label"], examples["label"])
        return bool(same and stored["predicted"].max() < self.classes)

    def report(self, stored: Predictions, spec: HasClassNames) -> dict[str, Any]:
        """Scores and confusion matrix; with per-sample step sizes, also NFE by class."""
        names = spec.class_names
        scores = metrics.report(confusion_of(stored, len(names)), names)
        if "nfe" not in stored:
            return {"classification": scores}
        return {"classification": scores, "nfe_per_image": solver_costs.by_class(stored, names)}

    def report_names(self, stored: Predictions) -> tuple[str, ...]:
        """`classification`; with per-sample step sizes, also `nfe_per_image`."""
        return ("classification", "nfe_per_image") if "nfe" in stored else ("classification",)

    def plots(
        self,
        stored: Predictions,
        examples: Mapping[str, np.ndarray],
        spec: HasClassNames,
        title: str,
    ) -> dict[str, bytes]:
        """The confusion matrix; with per-sample step sizes, also NFE by class."""
        names = spec.class_names
        counts = confusion_of(stored, len(names))
        drawn = {CONFUSION: confusion_matrix.draw(counts, names, title)}
        if "nfe" in stored:
            nfe, labels = stored["nfe"].sum(1), stored["label"]
            images = solver_costs.extreme_examples(stored, examples[self.inputs], names)
            drawn[NFE_BY_CLASS] = nfe_by_class.draw(nfe, labels, names, images, title)
        return drawn

    def plot_names(self, stored: Predictions) -> tuple[str, ...]:
        """confusion.png; with per-sample step sizes, also nfe_by_class.png."""
        return (CONFUSION, NFE_BY_CLASS) if "nfe" in stored else (CONFUSION,)


def top1(logits: Float[np.ndarray, "N K"]) -> Predictions:
    """Predicted classes and their softmax probabilities.

    Args:
      logits: [N, K].

    Returns:
      `predicted` [N], the class of the largest logit (int32), and `probability` [N] (float32).

    Example:
      >>> import numpy as np
      >>> top1(np.array([[0.0, np.log(3)]], np.float32))["probability"].tolist()
      [0.75]
    """
    above = np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True))
    probability = (1 / above.sum(1)).astype(np.float32)
    return {"predicted": logits.argmax(1).astype(np.int32), "probability": probability}


def confusion_of(stored: Predictions, classes: int) -> metrics.Confusion:
    """The confusion matrix of stored predictions.

    Args:
      stored: `label` and `predicted`, [N] each.
      classes: K.

    Returns:
      [K, K]: examples by label (row) and predicted class (column).
    """
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (stored["label"], stored["predicted"]), 1)
    return counts
