"""A gradient mode on the GPU: a training step against the CPU's in float64, and short trainings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxode.config import ModelConfig, Precision, SolveConfig
from jaxode.models import create_model
from jaxode.parity.bounds import BOUNDS, gradient_bound
from jaxode.train.objective import mean_cross_entropy
from scripts.gpu.row import Row, Size, within
from scripts.gpu.short_training import trained
from scripts.parity.measure import relative

PRECISIONS: tuple[Precision, ...] = ("float64", "float32", "tf32", "bfloat16")
SHAPE, CLASSES = (28, 28, 1), 10
"""Of MNIST."""


class Step(NamedTuple):
    """What a training step computes, on the host."""

    loss: float
    logits: np.ndarray
    gradient: list[np.ndarray]
    evaluations: int
    megabytes: float


def step(mode: str, size: Size, precision: Precision, device: Any, kernels: Any) -> Step:
    """Loss and gradient of a fixed batch under fixed parameters, compiled for a device.

    Args:
      mode: name of the gradient mode.
      size: batch size and width.
      precision: of the convolutions; float64 is of everything and needs x64.
      device: that computes.
      kernels: name of the implementation of the convolutions.
    """
    dtype = jnp.float64 if precision == "float64" else jnp.float32
    solve = SolveConfig(rtol=1e-3, atol=1e-3, gradient=mode, stepping="torchdiffeq", max_steps=32)

    def model(of: Any, **more: Any) -> nnx.Module:
        made = ModelConfig("odenet", 1, size.width)
        shapes: Any = {"image_shape": SHAPE, "classes": CLASSES, "rngs": nnx.Rngs(0)}
        return create_model(made, solve, dtype=of, **shapes, **more)

    # Drawn in float32 on the CPU, whatever the precision, so that all steps start from one point.
    with jax.default_device(jax.devices("cpu")[0]):
        drawn = nnx.state(model(jnp.float32), nnx.Param)
        graph, params = nnx.split(model(dtype, precision=precision, kernels=kernels))
        rng = np.random.default_rng(0)
        images = rng.normal(size=(size.batch, *SHAPE)).astype(np.float32)
        labels = rng.integers(CLASSES, size=size.batch).astype(np.int32)
        params = jax.tree.map(lambda _, leaf: leaf.astype(dtype), params, drawn)
    given = jax.device_put((params, images.astype(dtype), labels), device)
    slope = jax.value_and_grad(mean_cross_entropy, argnums=1, has_aux=True)
    with jax.default_matmul_precision("highest"):
        program = jax.jit(lambda *arguments: slope(graph, *arguments)).lower(*given).compile()
    (loss, (logits, stats)), gradient = jax.device_get(program(*given))
    stats.check()
    plan: Any = program.memory_analysis()
    leaves = [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(gradient)]
    return Step(
        float(loss),
        np.asarray(logits, np.float64),
        leaves,
        int(stats.nfe.sum()),
        0.0 if plan is None else plan.temp_size_in_bytes / 1e6,
    )


def measure(mode: str, size: Size, out: Path) -> Iterator[Row]:
    """Rows of one gradient mode, those of most worth first; nothing is written into `out`."""
    del out
    with jax.enable_x64(True):
        truth = step(mode, size, "float64", jax.devices("cpu")[0], "matmul")
        for precision in PRECISIONS:
            yield from compared(mode, size, precision, truth)
    for precision in PRECISIONS:
        flags = f"--gradient {mode} --precision {precision}"
        name = f"{precision}: training"
        yield trained(f"gradient {mode}", name, size, max(4, size.batch // 4), flags)


def compared(mode: str, size: Size, precision: Precision, truth: Step) -> Iterator[Row]:
    """Rows of one step on the default device, against the CPU's in float64.

    tf32 and bfloat16 have no bound: their errors are reported, and their steps may differ.
    """
    part = f"gradient {mode}"
    found = step(mode, size, precision, jax.devices()[0], "auto")
    bounded = precision in ("float64", "float32")
    limits = (
        (BOUNDS[precision, "output"].limit, gradient_bound(precision, mode).limit)
        if bounded
        else (None, None)
    )
    yield within(part, f"{precision}: logits", relative([found.logits], [truth.logits]), limits[0])
    yield within(
        part, f"{precision}: gradient", relative(found.gradient, truth.gradient), limits[1]
    )
    same = found.evaluations == truth.evaluations
    yield Row(
        part,
        f"{precision}: evaluations",
        found.evaluations,
        passed=same if bounded else None,
        note="" if same else f"{truth.evaluations} on the CPU in float64",
    )
    yield Row(part, f"{precision}: memory beside arguments", found.megabytes, "MB")
