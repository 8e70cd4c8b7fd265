"""A trained ODENet solved at any tolerance: its predictions and what they cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from flax import nnx

from jaxode.config import SolveConfig
from jaxode.ode import Stats, explain_failure
from scripts.claims.subject import DType, Subject, arithmetic

TOLERANCES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)


@dataclass
class Solved:
    """Final states [N, ...] and logits [N, K] of all images, or why a solve failed.

    Counts are means over batches.
    """

    states: np.ndarray
    logits: np.ndarray
    nfe: float
    accepted: float
    rejected: float
    failure: str | None
    again: Callable[[], Any]
    """Solves the first batch once more and returns when it is done."""


class Forward:
    """The model in its parts, so that a tolerance costs the compilation of the solve alone."""

    def __init__(self, subject: Subject, dtype: DType) -> None:
        """The states before the block, of all batches."""
        self.subject = subject
        self.dtype: DType = dtype
        with arithmetic(dtype):
            graph, self.params = subject.split(subject.config.solve, dtype)
            begin = jax.jit(lambda params, images: nnx.merge(graph, params).downsample(images))
            self.starts = [
                begin(self.params, subject.views(indices, dtype)) for indices in subject.order[0]
            ]
            self._head = jax.jit(lambda params, states: nnx.merge(graph, params).head(states))

    def solve(self, config: SolveConfig) -> Solved:
        """All batches."""
        with arithmetic(self.dtype):
            graph, _ = self.subject.split(config, self.dtype)

            def block(params: Any, z: jax.Array) -> tuple[jax.Array, Stats]:
                return nnx.merge(graph, params).blocks[0](z)

            program = jax.jit(block).lower(self.params, self.starts[0]).compile()
            found = [program(self.params, z) for z in self.starts]
            logits = [self._head(self.params, z) for z, _ in found]
        real = self.subject.order[1].ravel() > 0
        counts = jax.device_get([stats for _, stats in found])
        codes = [int(stats.failure) for stats in counts if stats.failure]
        mean = {
            name: float(np.mean([getattr(s, name) for s in counts]))
            for name in ("nfe", "accepted", "rejected")
        }
        return Solved(
            states=np.concatenate([np.asarray(z) for z, _ in found])[real],
            logits=np.concatenate([np.asarray(rows) for rows in logits])[real],
            failure=explain_failure(codes[0]) if codes else None,
            again=lambda: jax.block_until_ready(program(self.params, self.starts[0])),
            **mean,
        )


def successful(rows: Sequence[dict[str, Any]], of: Subject) -> Sequence[dict[str, Any]]:
    """The rows of `judged`. Raises RuntimeError if the solve failed in all of them."""
    if all(row["failure"] is not None for row in rows):
        raise RuntimeError(
            f"no solve of {of.name} succeeded at any tolerance: {rows[0]['failure']}"
        )
    return rows


def judged(solved: Solved, labels: np.ndarray, tolerance: float) -> dict[str, Any]:
    """Accuracy, mean cross-entropy and costs at a tolerance; no figures of a solve that failed."""
    figures: dict[str, Any] = {"accuracy": None, "loss": None}
    if solved.failure is None:
        figures = {"accuracy": accuracy(solved.logits, labels), "loss": loss(solved.logits, labels)}
    counts = {name: getattr(solved, name) for name in ("nfe", "accepted", "rejected", "failure")}
    return {"tolerance": tolerance, **figures, **counts}


def accuracy(logits: np.ndarray, labels: np.ndarray) -> float:
    """Share of the images whose largest logit is at their label."""
    return float(np.mean(np.argmax(logits, 1) == labels))


def loss(logits: np.ndarray, labels: np.ndarray) -> float:
    """Mean cross-entropy in nats."""
    wide = logits.astype(np.float64)
    top = wide.max(1, keepdims=True)
    normaliser = top[:, 0] + np.log(np.exp(wide - top).sum(1))
    return float(np.mean(normaliser - wide[np.arange(len(labels)), labels]))


def drifts(found: Any, true: Any) -> np.ndarray:
    """‖found − true‖₂ / ‖true‖₂ of every image: [B, ...] → [B]."""
    a, b = (np.asarray(side, np.float64).reshape(len(side), -1) for side in (found, true))
    return np.linalg.norm(a - b, axis=1) / np.linalg.norm(b, axis=1)


def relative(found: Sequence[Any], true: Sequence[Any]) -> float:
    """The same over all numbers of all arrays together."""
    a, b = (
        np.concatenate([np.ravel(np.asarray(array, np.float64)) for array in side])
        for side in (found, true)
    )
    return float(drifts(a[None], b[None])[0])
