"""A trained model with all that is needed to use it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int

from jaxode.checks import ConfigError, require_count
from jaxode.config import KernelsName, RunConfig, SolveConfig
from jaxode.data import DatasetSpec, view_shape, views
from jaxode.data.accepted import examples_of
from jaxode.data.batches import sequential_order
from jaxode.data.facts import image_facts
from jaxode.data.streaming import Examples, array_batches
from jaxode.inference.base import Trained
from jaxode.inference.inputs import Picture, read_pictures
from jaxode.inference.predictions import PicturePredictions
from jaxode.models import create_model
from jaxode.nn.kernels import Kernels
from jaxode.ode import Stats
from jaxode.strict_json import JsonObject
from jaxode.tasks import Classification
from jaxode.train.microbatch import forward
from jaxode.train.state import Learned, split_model

Forward = Callable[[Learned, dict[str, Any]], tuple[Array, Stats]]
"""Parameters and a batch of stored images → logits [B, K] and the cost of the solves."""


def precision_of(config: RunConfig) -> AbstractContextManager[None]:
    """Context in which JAX has float64 where the settings ask for it."""
    return jax.enable_x64(True) if config.precision == "float64" else nullcontext()


class TrainedModel(Trained):
    """A classifier with its parameters, settings, preprocessing and class names.

    `jaxode.load` makes one of a run's directory or of a file of weights.

    Args:
      config: settings of the run that trained it.
      spec: the data set: class names, size and normalisation of the images.
      learned: parameters and batch-norm statistics.
      origin: the directory or file it was read from.
      epoch: how many epochs it was trained for; None if that is not known.
      module: a model of your own with the structure of the one that was trained; None for a
        registered one, which is made by `config`.
      converted_from: of a model from another program's file: the file's name and digest, and the
        program's flags, as JSON values.

    Example:
      >>> import numpy as np
      >>> from flax import nnx
      >>> from jaxode import ModelConfig, RunConfig, create_model
      >>> from jaxode.data import SPECS
      >>> from jaxode.inference import TrainedModel
      >>> from jaxode.train.state import split_model
      >>> config = RunConfig(model=ModelConfig("mlp"))
      >>> module = create_model("mlp", image_shape=(28, 28, 1), classes=10, rngs=nnx.Rngs(0))
      >>> model = TrainedModel(config, SPECS["mnist"], split_model(module)[1])
      >>> model.predict(np.zeros((2, 28, 28, 1), np.uint8)).probabilities.shape
      (2, 10)
    """

    def __init__(
        self,
        config: RunConfig,
        spec: DatasetSpec,
        learned: Learned,
        *,
        origin: Path | None = None,
        epoch: int | None = None,
        module: nnx.Module | None = None,
        converted_from: JsonObject | None = None,
    ) -> None:
        self.config, self.spec, self.learned = config, spec, learned
        self.origin, self.epoch, self.module = origin, epoch, module
        self.converted_from = converted_from
        self.task = Classification(spec.classes)
        self.views = views(config, spec)
        with precision_of(config):
            self.graphdef = split_model(self.built(config.kernels))[0]
        self._forward: Forward = jax.jit(self.logits_of)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the K classes, in the order of the logits."""
        return self.spec.class_names

    @property
    def model(self) -> nnx.Module:
        """The Flax module: normalised images [B, H, W, C] → logits [B, K]."""
        return nnx.merge(self.graphdef, *self.learned)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of an image as it is stored, before normalisation."""
        return self.spec.image_size, self.spec.image_size, self.spec.channels

    @property
    def stored_dtype(self) -> np.dtype[Any]:
        """Type of a stored image: uint8 for pictures."""
        return np.dtype(self.spec.stored_dtype)

    def facts(self) -> dict[str, Any]:
        """What is known of the images, as JSON values: classes, size and normalisation."""
        return image_facts(self.spec)

    def built(self, kernels: Kernels | KernelsName) -> nnx.Module:
        """The Flax module with these parameters and other kernels, which your own model ignores."""
        config, spec = self.config, self.spec
        if self.module is not None:
            return nnx.merge(split_model(nnx.clone(self.module))[0], *self.learned)
        model = create_model(
            config.model,
            config.solve,
            image_shape=view_shape(config, spec),
            classes=spec.classes,
            rngs=nnx.Rngs(0),
            dtype=jnp.dtype(config.dtype),
            precision=config.precision,
            kernels=kernels,
        )
        nnx.update(model, *self.learned)
        return model

    def with_solve(self, **changes: Any) -> TrainedModel:
        """The same parameters, solved with other settings.

        Args:
          changes: fields of `jaxode.SolveConfig`: rtol, atol, solver, step_size, per_sample, …

        Raises:
          ConfigError: settings that are no solve's, or outside their ranges; or a model that
            solves no ODE.
        """
        if not changes:
            return self
        fields = {field.name for field in dataclasses.fields(SolveConfig)}
        for name in changes:
            if name not in fields:
                raise ConfigError(f"solve setting must be one of {', '.join(sorted(fields))},"
                                  f" got {name}")  # fmt: skip
        if self.module is not None:
            raise ConfigError(
                f"{self.config.model.name} has its own solves: make it with others, and pass it to"
                " jaxode.load"
            )
        if not self.config.model.ode_blocks:
            raise ConfigError(f"{self.config.model.name} solves no ODE, got {', '.join(changes)}")
        return TrainedModel(
            self.config.replaced(**changes),
            self.spec,
            self.learned,
            origin=self.origin,
            epoch=self.epoch,
            converted_from=self.converted_from,
        )

    def logits_of(
        self, learned: Learned, batch: dict[str, Any], graphdef: nnx.GraphDef[Any] | None = None
    ) -> tuple[Array, Stats]:
        """Logits [B, K] and solver statistics of a batch of stored images; traceable by JAX.

        Args:
          learned: parameters and statistics, as `learned`.
          batch: `image` [B, H, W, C] as the data set stores it, `weight` [B], `label` [B].
          graphdef: of another module with the same parameters.
        """
        with jax.default_matmul_precision("highest"):
            shown = self.views.evaluation(batch)
            total = jnp.sum(batch["weight"])
            found = forward(graphdef or self.graphdef, learned, self.task, shown, total)
        return found.outputs, found.stats

    def predict(
        self, pictures: Picture | Sequence[Picture], *, batch_size: int = 128
    ) -> PicturePredictions:
        """Classes and probabilities of pictures, and what their solves cost.

        Pictures are converted as those for training are: see `read_pictures`. Unless the solve is
        per sample, the pictures of one batch share their step sizes, so that the probabilities of
        one depend on the others to within the tolerance.

        Args:
          pictures: paths of files or folders, PIL images, NumPy arrays, or a sequence of them.
          batch_size: pictures that are solved together.

        Raises:
          ConfigError: pictures that cannot be read or converted.
          SolveError: a solve failed.
        """
        require_count("batch_size", batch_size)
        if self.stored_dtype != np.uint8:
            names, images = _stored_images(pictures, self.image_shape)
        else:
            side, channels = self.spec.image_size, self.spec.channels
            names, images = read_pictures(pictures, side, channels)
        logits, nfe = self.predict_images(images, batch_size)
        above = np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True))
        probabilities = (above / above.sum(1, keepdims=True)).astype(np.float32)
        return PicturePredictions(names, self.class_names, probabilities, nfe)

    def predict_files(self, paths: Sequence[Path], *, batch_size: int = 128) -> PicturePredictions:
        """Classes of the pictures in files and folders. Raises ConfigError, SolveError."""
        return self.predict(list(paths), batch_size=batch_size)

    def examples(self, data: Any) -> tuple[str, Examples]:
        """Arrays `image` and `label` of a mapping or of batches. Raises ConfigError."""
        return "arrays", examples_of(data)

    def predict_images(
        self, images: np.ndarray, batch_size: int
    ) -> tuple[Float[np.ndarray, "N K"], Int[np.ndarray, " N"] | None]:
        """Logits, and evaluations of all ODE blocks, of images as the data set stores them.

        The last of several batches is filled up with the first images, as in training.
        """
        size = min(batch_size, len(images))
        logits, counts = [], []
        indices, weights = sequential_order(len(images), size)
        for rows in array_batches({"image": images}, indices, weights):
            weight = rows.weights.astype(self.config.dtype)
            batch = {**rows.examples, "weight": weight, "label": np.zeros(size, np.int32)}
            with precision_of(self.config):
                found, stats = jax.device_get(self._forward(self.learned, batch))
            stats.check()
            real = rows.weights > 0
            logits.append(found[real])
            counts.append(np.broadcast_to(stats.nfe.sum(0), (size,))[real])
        solves = len(stats.nfe) > 0
        return np.concatenate(logits), np.concatenate(counts) if solves else None

    def __repr__(self) -> str:
        where = f" from {self.origin}" if self.origin else ""
        epoch = "" if self.epoch is None else f" after {self.epoch} epochs"
        return f"<{self.config.model.name} on {self.config.data.dataset}{epoch}{where}>"


def _stored_images(images: Any, shape: tuple[int, int, int]) -> tuple[list[str], np.ndarray]:
    """Images that are no pictures, as arrays: names and float32 [N, H, W, C]."""
    array = np.asarray(images, np.float32) if isinstance(images, (np.ndarray, list)) else None
    if array is not None and array.shape == shape:
        array = array[None]
    if array is None or array.shape[1:] != shape:
        got = type(images).__name__ if array is None else list(array.shape)
        raise ConfigError(f"images must be an array [N, {', '.join(map(str, shape))}], got {got}")
    return [str(number) for number in range(len(array))], array
