"""A run in one precision, and how far its first batch is from float64's."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxode.config import Precision, RunConfig
from jaxode.data import ImageSet
from jaxode.errors import RunFailed
from jaxode.models import create_model
from jaxode.runs import Progress
from jaxode.train import run
from jaxode.train.compiled_steps import CompiledSteps
from jaxode.train.microbatch import forward
from scripts.parity.measure import relative

REFERENCE: Precision = "float64"

FIGURES = (
    "test_accuracy",
    "test_loss",
    "loss",
    "nfe_forward",
    "accepted",
    "rejected",
    "skipped_steps",
)
"""What a row takes from the run's result, besides its speed."""


class First(NamedTuple):
    """What the initial parameters make of the first batch."""

    logits: np.ndarray
    gradient: list[np.ndarray]


def same_start(*args: Any, dtype: Any, rngs: nnx.Rngs, **options: Any) -> nnx.Module:
    """In place of create_model: parameters drawn in float32 whatever the precision."""
    drawn = nnx.state(create_model(*args, dtype=jnp.float32, rngs=rngs, **options), nnx.Param)
    model = create_model(*args, dtype=dtype, rngs=nnx.Rngs(0), **options)
    nnx.update(model, jax.tree.map(lambda leaf: leaf.astype(dtype), drawn))
    return model


def first_batch(config: RunConfig, data: ImageSet) -> First:
    """Logits and loss gradient of the first images, as evaluation shows them."""
    with jax.enable_x64(config.dtype == "float64"):
        steps = CompiledSteps(config, data, same_start)
        count = min(config.batch_size, steps.train_count)
        batch = {name: jnp.asarray(array[:count]) for name, array in data.splits["train"].items()}
        batch = steps.work.views.evaluation({**batch, "weight": jnp.ones(count, steps.dtype)})

        def objective(params: Any) -> tuple[jax.Array, jax.Array]:
            learned, total = steps.learned._replace(params=params), jnp.sum(batch["weight"])
            found = forward(steps.work.graphdef, learned, steps.task, batch, total)
            return found.loss, found.outputs

        with jax.default_matmul_precision("highest"):
            gradient, logits = jax.jit(jax.grad(objective, has_aux=True))(steps.learned.params)
        return First(
            np.asarray(logits, np.float64),
            [np.asarray(g, np.float64) for g in jax.tree.leaves(gradient)],
        )


def measured(config: RunConfig, data: ImageSet, exact: First) -> dict[str, Any]:
    """The row of one run."""
    own = first_batch(config, data)
    row: dict[str, Any] = {
        "precision": config.precision,
        "seed": config.seed,
        "logits_error": relative([own.logits], [exact.logits]),
        "gradient_error": relative(own.gradient, exact.gradient),
        "failure": None,
    }
    with tempfile.TemporaryDirectory() as folder, jax.enable_x64(config.dtype == "float64"):
        try:
            result = run(config, data, Path(folder), progress=Progress(), build=same_start)
        except RunFailed as error:
            return row | {"failure": str(error)}
    facts = {name: result[name] for name in ("images_per_second", "device", "versions", "commit")}
    return (
        row | {name: result[name] for name in FIGURES} | facts | {"date": time.strftime("%Y-%m-%d")}
    )
