"""The problem that both sides solve, and what each returns: a call to be timed and its results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from flax import nnx

from jaxode.interop import to_torch
from jaxode.models import create_model
from scripts.bench.cases import Case

CLASSES = 10

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Problem:
    """Images [B, H, W, I], labels [B], weights in PyTorch's layout, state [B, H', W', C].

    The state is that of an ODE block.
    """

    images: np.ndarray
    labels: np.ndarray
    weights: Arrays
    state: np.ndarray


@dataclass
class Outcome:
    """The results of one call: output (logits or the final state), loss, gradient, cost.

    The gradient has PyTorch's names. Steps and evaluations are summed over the blocks; None where
    there is no solve or they are not counted.
    """

    output: np.ndarray
    loss: float | None = None
    gradient: Arrays | None = None
    nfe_forward: int | None = None
    nfe_backward: int | None = None
    accepted: int | None = None
    rejected: int | None = None


@dataclass
class Ready:
    """A side ready to be timed.

    Args:
      run: computes `steps` steps and returns when they are done.
      outcome: of one step.
      setup_seconds: of compilation, or of the first call where nothing is compiled ahead.
      memory_mb: that a call needs besides its arguments.
      device: on which it runs.
      field: makes as many evaluations of the vector field as the solve does, one after the other.
      note: a remark for the row.
      steps: training steps in a call.
    """

    run: Callable[[], Any]
    outcome: Outcome
    setup_seconds: float
    memory_mb: float | None
    device: str
    field: Callable[[], Any] | None = None
    note: str = ""
    steps: int = 1


def pose(case: Case, seed: int = 0) -> Problem:
    """Random images of mean 0 and deviation 1, random labels, and fresh weights."""
    rng = np.random.default_rng(seed)
    images = rng.normal(size=(case.batch, *case.image_shape)).astype(np.float32)
    labels = rng.integers(CLASSES, size=case.batch)
    model: Any = create_model(
        case.model_config,
        case.solve,
        image_shape=case.image_shape,
        classes=CLASSES,
        rngs=nnx.Rngs(seed),
    )
    state = np.zeros(0, np.float32)
    if case.work == "solve":
        graph, params = nnx.split(model)
        state = np.asarray(jax.jit(lambda p, x: nnx.merge(graph, p).downsample(x))(params, images))
    return Problem(images, labels, to_torch(model), state)
