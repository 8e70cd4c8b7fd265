"""What a latent ODE makes of some series of the test: reconstruction and extrapolation."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxode.data import Dataset
from jaxode.models import LatentODE
from jaxode.plots.series import Curve, draw_curves
from jaxode.tasks import series_of

FILE = "series.png"
SHOWN = 4
"""Series in a picture."""
POINTS = 200
"""Times at which a curve is drawn."""


def drawn(model: Any, data: Dataset, result: dict[str, Any]) -> dict[str, bytes]:
    """PNG files by name; none of a model that predicts classes."""
    if not isinstance(model, LatentODE):
        return {}
    test: Any = data.splits["test"]
    rows = {name: jnp.asarray(array[:SHOWN]) for name, array in test.items()}
    if data.name == "spirals":
        title = f"spirals, RMSE {result['test_rmse']:.3f} behind the window"
        return {FILE: spirals(model, rows, title)}
    return {FILE: records(model, rows, data.spec.channels, f"{data.name}, test records")}


def spirals(model: LatentODE, rows: dict[str, Any], title: str) -> bytes:
    """The plane: observations, the curve through the window and behind it, and the truth behind."""
    start, end = rows["times"][:, :1], rows["target_times"][:, -1:]
    share = jnp.linspace(0, 1, POINTS, dtype=start.dtype)
    times = start + share * (end - start)
    predicted = curves(model, rows, times)
    found = []
    for i in range(len(times)):
        inside = int((times[i] <= rows["times"][i, -1]).sum())
        observed = np.asarray(rows["values"][i, : int(rows["lengths"][i])])
        truth = np.asarray(rows["target_values"][i])
        found.append(Curve(f"spiral {i + 1}", observed, predicted[i], truth, inside))
    return draw_curves([found], "x", "y", title)


def records(model: LatentODE, rows: dict[str, Any], channels: tuple[str, ...], title: str) -> bytes:
    """For each record, the two channels that were observed most often."""
    start, end = rows["times"][:, :1], rows["times"].max(1, keepdims=True)
    times = start + jnp.linspace(0, 1, POINTS, dtype=start.dtype) * (end - start)
    predicted = curves(model, rows, times)
    found: list[list[Curve]] = [[], []]
    for i in range(len(times)):
        mask = np.asarray(rows["mask"][i]) > 0
        for line, channel in zip(found, np.argsort(-mask.sum(0))[:2], strict=True):
            seen = mask[:, channel]
            pairs = (rows["times"][i][seen], rows["values"][i][seen, channel])
            model_curve = np.stack([np.asarray(times[i]), predicted[i][:, channel]], 1)
            name = f"record {i + 1}, {channels[channel]}"
            line.append(Curve(name, np.stack([np.asarray(x) for x in pairs], 1), model_curve))
    return draw_curves(found, "time", "value", title)


def curves(model: LatentODE, rows: dict[str, Any], times: jax.Array) -> np.ndarray:
    """Predictions [B, T, D] of the posterior's mean at times [B, T]."""
    outputs, _ = jax.jit(model.predict)(series_of(rows), times)
    return np.asarray(outputs.predicted[:, 0])
