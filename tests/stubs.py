"""Stand-ins for the neighbours of the training room: a model that compiles at once, and made-up
images.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxode.config import DataConfig, ModelConfig, OptimConfig, RunConfig
from jaxode.data import SPECS, ImageSet
from jaxode.ode import Stats

POISON = 255
"""An image of nothing but this value makes the stub fail in the configured way."""


PICTURES = ("learning_curves.draw", "nfe_by_class.draw", "confusion_matrix.draw")


def without_pictures(patch: Any) -> None:
    """Pictures are slow to draw: runs write a word in their places."""
    for name in PICTURES:
        patch.setattr(f"jaxode.plots.{name}", lambda *args: b"picture")


class Linear(nnx.Module):
    """Logits linear in 7x7 means of the image, or float16 ones; made-up counts for each
    ODE block.

    Counts are those of each image with per-sample step sizes.
    """

    def __init__(
        self,
        features: int,
        classes: int,
        blocks: int,
        rngs: nnx.Rngs,
        dtype: Any,
        precision: str,
        fail: str,
        per_sample: bool,
    ) -> None:
        self.dense = nnx.Linear(features, classes, rngs=rngs, dtype=dtype, param_dtype=dtype)
        self.blocks, self.precision, self.fail, self.per_sample = (
            blocks,
            precision,
            fail,
            per_sample,
        )

    def __call__(self, images, training=None):
        count, height, width, channels = images.shape
        small = (
            images.reshape(count, 7, height // 7, 7, width // 7, channels)
            .mean((2, 4))
            .reshape(count, -1)
        )
        logits = self.dense(small)
        if self.precision == "float16":
            logits = logits.astype(jnp.float16).astype(logits.dtype)
        if self.fail == "slope":
            logits = logits + 0 * jnp.sqrt(0 * logits)
        poisoned = jnp.any(jnp.min(images, (1, 2, 3)) > 2.5)
        if self.fail == "nan":
            logits = jnp.where(poisoned, jnp.nan, logits)
        one = jnp.arange(1, self.blocks + 1, dtype=jnp.int32)
        if self.per_sample:  # images taken for a later class cost more
            one, more = one[:, None], jnp.argmax(logits, 1).astype(jnp.int32)
            return logits, Stats(
                20 * one + 6 * more, 3 * one + more, one - 1 + 0 * more, 0 * one * more
            )
        failure = jnp.where(poisoned & (self.fail == "solve"), jnp.arange(self.blocks), 0)
        return logits, Stats(20 * one, 3 * one, one - 1, failure.astype(jnp.int32))


def builder(fail: str = ""):
    """A function in place of create_model; `fail` is "", "nan", "solve" or, for a gradient of
    NaN, "slope".
    """

    def build(
        model, solve, *, image_shape, classes, rngs, dtype=jnp.float32, precision="float32", **_
    ):
        blocks = model.blocks if model.model == "odenet" else 0
        inputs = 49 * image_shape[2]
        return Linear(inputs, classes, blocks, rngs, dtype, precision, fail, solve.per_sample)

    return build


class Averaging(nnx.Module):
    """Logits linear in the image's mean; of the batches seen, keeps a running mean of that and of
    noise by the keys.
    """

    def __init__(self, rngs, dtype):
        self.dense = nnx.Linear(1, 10, rngs=rngs, dtype=dtype, param_dtype=dtype)
        self.seen = nnx.BatchStat(jnp.zeros((), dtype))

    def __call__(self, images, training=None):
        means = images.mean((1, 2, 3))
        logits = self.dense(means[:, None]) + (self.seen[...] if training is None else 0)
        if training is not None:
            noise = jax.vmap(lambda key: jax.random.uniform(key, ()))(training.keys)
            seen = jnp.sum(training.weights * (means + noise)) / jnp.maximum(
                jnp.sum(training.weights), 1
            )
            self.seen[...] = 0.9 * self.seen[...] + 0.1 * seen
        return logits, Stats.chain([])


def averaging(model, solve, *, image_shape, classes, rngs, dtype, **_):
    """In place of create_model."""
    return Averaging(rngs, dtype)


def image_set(
    train: int = 70, test: int = 23, *, poisoned: tuple[int, ...] = (), seed: int = 5
) -> ImageSet:
    """Noisy 28x28 images whose brightness per row determines the label; training images `poisoned`
    are all POISON.
    """
    rng = np.random.default_rng(seed)

    def part(count: int) -> tuple[np.ndarray, np.ndarray]:
        labels = rng.integers(0, 10, count).astype(np.int32)
        images = rng.integers(0, 120, (count, 28, 28, 1))
        images[np.arange(count), 2 * labels + 3] += 100
        return images.astype(np.uint8), labels

    (train_images, train_labels), (test_images, test_labels) = part(train), part(test)
    train_images[list(poisoned)] = POISON
    return ImageSet(
        "mnist", "full", train_images, train_labels, test_images, test_labels, SPECS["mnist"]
    )


def run_config(**changes: Any) -> RunConfig:
    """Small settings for the stub: two ODE blocks, 5 batches of 16 from 70 images, 3 epochs."""
    base = RunConfig(
        model=ModelConfig(model="odenet", blocks=2),
        data=DataConfig(dataset="mnist", data="full"),
        optim=OptimConfig(lr=0.1, schedule="constant"),
        epochs=3,
        batch_size=16,
    )
    return dataclasses.replace(base, **changes)
