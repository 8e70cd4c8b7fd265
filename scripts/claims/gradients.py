"""The gradient of a trained ODENet by mode and tolerance, and how far one is from another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxode.config import GRADIENT_FACTS
from jaxode.ode import explain_failure
from jaxode.train.objective import mean_cross_entropy
from scripts.claims.forward import relative
from scripts.claims.subject import ONCE, DType, Subject, arithmetic

EXACT = ("replay", "checkpointed")
"""Modes that are compared with `tape` at one tolerance, as `backsolve` is at all."""

FEW_STEPS = 256
"""That those modes are allowed: what replay keeps grows with them."""


class Slope(NamedTuple):
    """A gradient's arrays, or why there is none."""

    leaves: list[np.ndarray]
    failure: str | None = None

    def error(self, other: Slope) -> float | None:
        """Relative difference from another gradient, if there are both."""
        return None if self.failure or other.failure else relative(self.leaves, other.leaves)


def gradient(subject: Subject, tolerance: float, mode: str, dtype: DType) -> Slope:
    """Gradient of the first batch's mean cross-entropy with respect to all parameters."""
    with arithmetic(dtype):
        indices = subject.order[0][0]
        images, labels = (
            subject.views(indices, dtype),
            jnp.asarray(subject.data.test_labels[indices]),
        )
        solve = (
            subject.at(tolerance, mode, FEW_STEPS) if mode in EXACT else subject.at(tolerance, mode)
        )
        graph, params = subject.split(solve, dtype)

        def slope(params: Any) -> tuple[Any, jax.Array]:
            whole = jax.grad(mean_cross_entropy, argnums=1, has_aux=True)
            gradient, (_, stats) = whole(graph, params, images, labels)
            return gradient, stats.failure

        found, codes = jax.jit(slope, compiler_options=ONCE)(params)
        leaves = [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(found)]
    for code in codes:
        if code:
            return Slope(leaves, explain_failure(int(code)))
    if all(np.isfinite(leaf).all() for leaf in leaves):
        return Slope(leaves)
    backward = GRADIENT_FACTS[mode].backward_solve
    cause = ", for the backward solve did not reach the start" if backward else ""
    return Slope(leaves, f"it is not finite{cause}")


def gradients(
    subject: Subject, tolerance: float, dtype: DType, finest: Slope, exact: Sequence[str]
) -> dict[str, Any]:
    """Gradient errors at a tolerance.

    Other modes against `tape`; tape and backsolve against the finest gradient.
    """
    found = {
        mode: gradient(subject, tolerance, mode, dtype) for mode in ("tape", "backsolve", *exact)
    }
    return {
        "tolerance": tolerance,
        "dtype": dtype,
        "against_tape": {
            mode: slope.error(found["tape"]) for mode, slope in found.items() if mode != "tape"
        },
        "against_finest": {mode: found[mode].error(finest) for mode in ("tape", "backsolve")},
        "failures": {mode: slope.failure for mode, slope in found.items() if slope.failure},
    }
