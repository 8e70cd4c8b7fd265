"""A trained model's metrics on a split of a data set, with any solve settings."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from jaxode.checks import ConfigError, require_count
from jaxode.config import DataConfig
from jaxode.data import SPECS, Dataset, load
from jaxode.data.batches import sequential_order
from jaxode.data.streaming import Examples, array_batches, count_of, in_memory
from jaxode.inference.base import Trained
from jaxode.inference.trained import TrainedModel, precision_of
from jaxode.train.microbatch import BatchStats, forward_and_loss
from jaxode.train.state import Learned


@dataclass(frozen=True)
class Evaluation:
    """Metrics of a model on a split.

    Args:
      metrics: loss, and the task's: of a classifier accuracy, macro precision, recall and F1, each
        in [0, 1]; of a density the log-likelihood in nats, of series errors.
      confusion: rows are labels, columns predicted classes: int [K, K]; None of a model that
        predicts no classes.
      examples: how many there were.
      nfe: mean number of function evaluations of a forward solve, all blocks together; None for
        a model that solves no ODE.
      split: `test` or `train`.
      dataset: name of the data set.

    Example:
      >>> import numpy as np
      >>> from jaxode.inference import Evaluation
      >>> metrics = {"accuracy": 0.85, "loss": 0.4, "macro_f1": 0.8496}
      >>> print(Evaluation(metrics, np.array([[8, 2], [1, 9]]), 20, None, "test", "toy"))
      toy test: accuracy 85.00 %, loss 0.4000, macro F1 0.8496, 20 examples
    """

    metrics: Mapping[str, float]
    confusion: np.ndarray | None
    examples: int
    nfe: float | None
    split: str
    dataset: str

    @property
    def accuracy(self) -> float:
        """Share of the examples whose predicted class is their label."""
        return self.metrics["accuracy"]

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        about = {"dataset": self.dataset, "split": self.split, "examples": self.examples}
        confusion = None if self.confusion is None else self.confusion.tolist()
        return {**about, **self.metrics, "nfe": self.nfe, "confusion": confusion}

    def __str__(self) -> str:
        text = self._classes() if "accuracy" in self.metrics else self._numbers()
        return text if self.nfe is None else f"{text}, {self.nfe:.1f} evaluations a solve"

    def _numbers(self) -> str:
        numbers = (f"{name.replace('_', ' ')} {value:.4g}" for name, value in self.metrics.items())
        return f"{self.dataset}: {', '.join(numbers)}, {self.examples:,} examples"

    def _classes(self) -> str:
        return (
            f"{self.dataset} {self.split}: accuracy {100 * self.accuracy:.2f} %, loss"
            f" {self.metrics['loss']:.4f}, macro F1 {self.metrics['macro_f1']:.4f},"
            f" {self.examples:,} examples"
        )


def evaluate(
    model: Trained,
    data: Dataset | str | Mapping[str, Any] | Iterable[Any] | None = None,
    *,
    split: Literal["test", "train"] = "test",
    batch_size: int | None = None,
    data_dir: str | None = None,
    **solve: Any,
) -> Evaluation:
    """Evaluate a trained model, with other solve settings if asked for; nothing is trained.

    Args:
      model: what `jaxode.load` returned.
      data: a data set or its name, by default that of the training run; arrays `image`
        [N, H, W, C] and `label` [N] by name; or an iterable of batches of these, each a mapping or
        a pair. Images are as they are stored, before normalisation: uint8 of the model's
        `image_shape`. For a density points [N, D], for a model of series what its `predict` takes,
        with labels where it predicts classes; or the path of either: these have no default.
      split: `test` or `train` of a data set.
      batch_size: examples that are solved together; by default as in training, with which the
        figures of the run come out again.
      data_dir: folder of the original files, if `data` is a name or left out.
      solve: fields of `SolveConfig` to change: rtol, atol, solver, step_size, per_sample, …

    Raises:
      ConfigError: settings that cannot be used, or data of another shape or number of classes.
      DataError: the data cannot be had.
      SolveError: a solve failed.

    Example:
      >>> import jaxode
      >>> model = jaxode.load("runs/mnist/odenet-20261127-101500")  # doctest: +SKIP
      >>> jaxode.evaluate(model, rtol=1e-1, atol=1e-1).accuracy  # doctest: +SKIP
      0.9941
    """
    model = model.with_solve(**solve)
    if isinstance(model, TrainedModel):
        name, examples = _examples(model, data, split, data_dir)
        _check(model, examples)
    else:
        name, examples = model.examples(data)
    size = model.config.evaluation_batch if batch_size is None else batch_size
    require_count("batch_size", size)
    with precision_of(model.config):
        return _evaluated(model, examples, size, split, name)


def _evaluated(
    model: Trained,
    examples: Examples,
    size: int,
    split: str,
    dataset: str,
) -> Evaluation:
    """Metrics of examples in batches of a size."""
    count = count_of(examples)

    def of_batch(learned: Learned, batch: dict[str, Any]) -> tuple[Any, BatchStats]:
        with jax.default_matmul_precision("highest"):
            shown = model.views.evaluation(batch)
            total = jnp.sum(batch["weight"])
            found, stats = forward_and_loss(model.graphdef, learned, model.task, shown, total)
        return model.task.metrics(found.outputs, shown), stats

    step = jax.jit(of_batch)
    sums: Any = None
    loss, nfe, solves = 0.0, 0, 0
    indices, weights = sequential_order(count, size)
    for rows in array_batches(examples, indices, weights):
        batch = {**rows.examples, "weight": rows.weights.astype(model.config.dtype)}
        metrics, stats = jax.device_get(step(model.learned, batch))
        _require_solved(int(stats.failure))
        sums = metrics if sums is None else jax.tree.map(np.add, sums, metrics)
        loss += float(stats.loss) * int(stats.images)
        nfe, solves = nfe + int(stats.nfe.sum()), solves + int(stats.solves)
    summary = model.task.summarize(sums)
    return Evaluation(
        metrics={"loss": loss / count, **summary},
        confusion=np.asarray(sums["confusion"]) if "confusion" in sums else None,
        examples=count,
        nfe=nfe / solves if len(stats.nfe) else None,
        split=split,
        dataset=dataset,
    )


def _examples(
    model: TrainedModel, data: Any, split: str, data_dir: str | None
) -> tuple[str, Examples]:
    """Name and arrays of what is evaluated on."""
    if data is not None and not isinstance(data, str) and not hasattr(data, "splits"):
        return model.examples(data)
    dataset = dataset_for(model, data, data_dir)
    if split not in dataset.splits:
        raise ConfigError(f"split must be one of {', '.join(dataset.splits)}, got {split!r}")
    return dataset.name, in_memory(dataset.splits[split])


def dataset_for(
    model: TrainedModel, data: Dataset | str | None, data_dir: str | None = None
) -> Dataset:
    """A data set by its name, or that of the training run. Raises DataError."""
    if data is not None and not isinstance(data, str):
        return data
    config = model.config.data
    if data is not None and data != config.dataset:
        # Of pictures that have no size of their own, the model's.
        side = None if data in SPECS else model.spec.image_size
        config = DataConfig(dataset=data, image_size=side)
    if data_dir is not None:
        config = dataclasses.replace(config, data_dir=data_dir)
    return load(config, progress=False)


def _check(model: TrainedModel, examples: Examples) -> None:
    if not {"image", "label"} <= set(examples):
        raise ConfigError(f"data must have the arrays image and label, got {sorted(examples)}")
    shape = examples["image"].shape[1:]
    if shape != model.image_shape:
        raise ConfigError(f"images must be {list(model.image_shape)}, got {list(shape)}")
    if examples["image"].dtype != model.stored_dtype:
        found = examples["image"].dtype
        raise ConfigError(f"images must be {model.stored_dtype}, as they are stored, got {found}")
    largest = int(examples["label"].max())
    if largest >= model.spec.classes:
        raise ConfigError(f"labels must be below {model.spec.classes}, got {largest}")


def _require_solved(code: int) -> None:
    from jaxode.ode import SolveError, explain_failure

    if code:
        raise SolveError(explain_failure(code))
