"""Explicit Runge-Kutta steps and the loop over them, stage by stage, so that every evaluation can leave a trace."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

Evaluate = Callable[[Any, Any], tuple[Any, Any]]
"""Time and state → dz/dt, and what to keep of this evaluation."""


def write(buffers: Any, values: Any, index: Any) -> Any:
    """Put values at an index of preallocated buffers, leaf by leaf."""
    return jax.tree.map(lambda b, v: lax.dynamic_update_index_in_dim(b, v, index, 0), buffers, values)


def read(buffers: Any, index: Any) -> Any:
    """What `write` put there."""
    return jax.tree.map(lambda b: lax.dynamic_index_in_dim(b, index, 0, keepdims=False), buffers)


def allocate(length: int, like: Any) -> Any:
    """Buffers for `length` values of these shapes and types, with no defined content."""
    return jax.tree.map(lambda leaf: lax.empty((length, *leaf.shape), leaf.dtype), like)


class Method:
    """An explicit Runge-Kutta method: y1 = y0 + Σ b_i k_i, k_i = h f(t + c_i h, y0 + Σ_j<i a_ij k_j)."""

    def __init__(self, solver: Any, time: Any) -> None:
        """Of a Diffrax solver, in the type of the time."""
        if isinstance(solver, diffrax.Euler):
            lower, b, error, c, self.fsal = (), [1.0], [0.0], [], False
        else:
            tableau = solver.tableau
            lower, b, error, c = tableau.a_lower, tableau.b_sol, tableau.b_error, tableau.c
            self.fsal = bool(tableau.fsal)
        self.stages = len(b)
        self.evaluations = self.stages - self.fsal
        a = np.zeros((self.stages, self.stages))
        for i, row in enumerate(lower):
            a[i + 1, : i + 1] = row
        self.a, self.b, self.error = (np.asarray(x, time) for x in (a, b, error))
        self.c = np.concatenate([[0.0], c]).astype(time)

    def run(self, evaluate: Evaluate, y: Any, t: Any, t_next: Any, first: int, last: Any, carry: Any) -> Any:
        """Stages first to last - 1 of a step from t; carry is (k_1 … k_s, the last slope, buffers, index of stage 0)."""
        h = t_next - t

        def stage(i: Any, carry: Any) -> Any:
            ks, previous, buffers, base = carry
            at = jnp.where(jnp.asarray(self.c)[i] == 1, t_next, t + jnp.asarray(self.c)[i] * h)
            slope, kept = evaluate(at, combine(y, jnp.asarray(self.a)[i], ks))
            ks = write(ks, jax.tree.map(lambda f: h * f, slope), i)
            return ks, None if previous is None else slope, write(buffers, kept, base + i), base

        return lax.fori_loop(first, last, stage, carry)


def combine(y: Any, weights: Any, ks: Any) -> Any:
    """y + Σ_i weights_i k_i."""

    def leaf(y: Any, k: Any) -> Any:
        terms = [weights[i] * k[i] for i in range(k.shape[0])]
        return y + sum(terms[1:], terms[0])

    return jax.tree.map(leaf, y, ks)
