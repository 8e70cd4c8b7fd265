"""The subject of a measurement: a trained ODENet and test images."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxode.checks import COUNTS, require, require_in
from jaxode.config import RunConfig, SolveConfig
from jaxode.data import ImageSet, load, view_shape, views
from jaxode.data.batches import sequential_order
from jaxode.models import ODENet, create_model
from scripts.restore import Restored as Restored
from scripts.restore import restored

DType = Literal["float32", "float64"]

USUAL_IMAGES = 1000
"""Default number of test images, where there are so many."""

MOST_STEPS = 4096
"""Of one solve: a tight tolerance may take more than a run allows itself."""


ONCE: dict[str, Any] = {"xla_backend_optimization_level": 0}
"""For programs that run a few times at most: good machine code would take three times as long to
compile.
"""


@dataclass(frozen=True)
class Request:
    """The arguments of the command line."""

    runs: tuple[Path, ...] = ()
    data_dir: str | None = None
    limit_test: int | None = None

    def subjects(self) -> Iterator[Subject]:
        """The runs, one after the other. Raises what `restored` raises, ConfigError, DataError."""
        for place in self.runs:
            yield subject(place, self.data_dir, self.limit_test)

    def first(self) -> Subject:
        """The first run."""
        return next(self.subjects())


@dataclass(frozen=True)
class Subject:
    """A run's settings and parameters, and test images and labels of its data set."""

    name: str
    checkpoint: str
    config: RunConfig
    params: Any
    """As NumPy arrays."""
    data: ImageSet

    def facts(self) -> dict[str, Any]:
        """The run and the images, as JSON values."""
        return {
            "run": self.name,
            "checkpoint": self.checkpoint,
            "dataset": self.config.data.dataset,
            "source": self.data.source,
            "images": self.count,
            "solver": self.config.solve.solver,
            "trained_at": self.config.solve.rtol,
            "gradient": self.config.solve.gradient,
            "precision": self.config.precision,
            "batch": self.batch,
        }

    @property
    def count(self) -> int:
        """How many test images."""
        return len(self.data.test_labels)

    @property
    def batch(self) -> int:
        """Images of one solve."""
        return min(self.config.batch_size, self.count)

    @cached_property
    def order(self) -> tuple[np.ndarray, np.ndarray]:
        """Images of each batch and their weights, which are 0 for padding."""
        indices, weights = sequential_order(self.count, self.batch)
        return np.asarray(indices), np.asarray(weights)

    def at(
        self, tolerance: float, gradient: Any = None, max_steps: int = MOST_STEPS
    ) -> SolveConfig:
        """The run's solve at another tolerance."""
        own = self.config.solve
        return SolveConfig(
            own.solver,
            tolerance,
            tolerance,
            stepping=own.stepping,
            gradient=gradient,
            max_steps=max_steps,
        )

    def split(self, solve: SolveConfig, dtype: DType, *, initial: bool = False) -> tuple[Any, Any]:
        """Graph and parameters of the model with this solve: trained or initial ones.

        To be called within `arithmetic`.
        """
        key, _ = jax.random.split(
            jax.random.key(self.config.seed)
        )  # as jaxode.train.compiled_steps.CompiledSteps does
        with jax.enable_x64(self.config.dtype == "float64"):
            model = self._built(solve, self.config.dtype, key)
        graph, _ = nnx.split(self._built(solve, dtype, key), nnx.Param)
        params = nnx.state(model, nnx.Param) if initial else self.params
        return graph, jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf), dtype), params)

    def _built(self, solve: SolveConfig, dtype: DType, key: Any) -> Any:
        spec = self.data.spec
        return create_model(
            self.config.model,
            solve,
            image_shape=view_shape(self.config, spec),
            classes=spec.classes,
            rngs=nnx.Rngs(key),
            dtype=jnp.dtype(dtype),
            precision=self.config.precision if dtype == self.config.dtype else dtype,
        )

    def views(self, indices: np.ndarray, dtype: DType) -> jax.Array:
        """Images as evaluation shows them: [B] → [B, H, W, C]."""
        shown = views(self.config.replaced(precision=dtype), self.data.spec)
        return shown.evaluation({"image": jnp.asarray(self.data.test_images[indices])})["image"]


@contextmanager
def arithmetic(dtype: DType) -> Iterator[None]:
    """Float64 for that type, and no TF32 on a GPU, as in training's programs."""
    with jax.enable_x64(dtype == "float64"), jax.default_matmul_precision("highest"):
        yield


def subject(place: Path, data_dir: str | None, limit: int | None) -> Subject:
    """The run in a directory. Raises what `restored` raises, ConfigError, DataError, OSError."""
    require_in("--limit-test", limit, COUNTS)
    found = restored(place)
    config = found.config
    solve = config.solve
    one = isinstance(found.model, ODENet) and config.model.ode_blocks == 1
    one = one and config.model.augment_dims == 0
    require(one, "--run", str(place), "a run of an odenet of one block, not augmented")
    require(solve.step_size is None, "--run", str(place), "a run with adaptive steps")
    require(not solve.per_sample, "--run", str(place), "a run with one step size for a batch")
    require(
        solve.rtol == solve.atol,
        "--run",
        str(place),
        "a run with one tolerance, relative and absolute",
    )
    wanted = replace(
        config.data, data_dir=data_dir or config.data.data_dir, limit_train=None, limit_test=None
    )
    data = load(wanted)
    have = len(data.test_labels)
    count = min(USUAL_IMAGES, have) if limit is None else limit
    require(
        count <= have,
        "--limit-test",
        count,
        f"at most {have}, the test images of {data.name} ({data.source})",
    )
    data = replace(data, test_images=data.test_images[:count], test_labels=data.test_labels[:count])
    params = jax.tree.map(np.asarray, nnx.state(found.model, nnx.Param))
    return Subject(place.resolve().name, found.checkpoint, config, params, data)
