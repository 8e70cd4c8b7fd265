"""Test pictures that a model is best and worst at, with their depth."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxode.config import RunConfig
from jaxode.data import Dataset
from jaxode.plots.depth import DepthPicture, draw_depth
from jaxode.tasks import Predictions

BEST, WORST = "best.png", "worst.png"
SHOWN = 4
"""Pictures in a file."""


def drawn(
    model: nnx.Module, data: Dataset, settings: RunConfig, stored: Predictions
) -> dict[str, bytes]:
    """PNG files by name, by the errors of each test picture."""
    rel, order = stored["rel"], np.argsort(stored["rel"], kind="stable")
    found = {}
    for name, rows in ((BEST, order[:SHOWN]), (WORST, order[::-1][:SHOWN])):
        which = "smallest" if name == BEST else "largest"
        title = f"{data.name}, test pictures of the {which} relative error"
        found[name] = draw_depth(rows_of(model, data, settings, rows, rel), title)
    return found


def rows_of(
    model: Any, data: Dataset, settings: RunConfig, rows: np.ndarray, rel: np.ndarray
) -> list[DepthPicture]:
    """Those test pictures with what the model makes of them."""
    test: Any = data.splits["test"]
    stored = {name: jnp.asarray(array[rows]) for name, array in test.items()}
    batch = data.views(settings).evaluation(stored)
    log_depth, _ = jax.jit(lambda images: model(images))(batch["image"])
    names = data.spec.test_names
    return [
        DepthPicture(
            f"{names[row]}: rel {rel[row]:.3f}",
            test["image"][row],
            np.exp(np.asarray(log_depth[place])),
            test["depth"][row],
        )
        for place, row in enumerate(rows)
    ]
