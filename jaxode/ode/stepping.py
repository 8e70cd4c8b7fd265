"""Explicit Runge-Kutta steps, whose stages are a loop that can record every evaluation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxode.ode.allocation import uninitialized


def spread(values: Any, leaf: Any) -> Any:
    """Times or step sizes that broadcast against a state.

    With per-sample step sizes, [B] → [B, 1, …, 1].
    """
    return values.reshape(values.shape + (1,) * (leaf.ndim - 1)) if values.ndim else values


Evaluate = Callable[[Any, Any], tuple[Any, Any]]
"""Time and state → dz/dt, and what to keep of this evaluation."""


def write(buffers: Any, values: Any, index: Any) -> Any:
    """Write values at an index of preallocated buffers, leaf by leaf.

    It happens in place where XLA owns the buffers.
    """
    return jax.tree.map(
        lambda b, v: lax.dynamic_update_index_in_dim(b, v, index, 0), buffers, values
    )


def read(buffers: Any, index: Any) -> Any:
    """What `write` put there."""
    return jax.tree.map(lambda b: lax.dynamic_index_in_dim(b, index, 0, keepdims=False), buffers)


def allocate(length: int, like: Any) -> Any:
    """Buffers for `length` values of these shapes and types, with no defined content."""
    return jax.tree.map(lambda leaf: uninitialized((length, *leaf.shape), leaf.dtype), like)


def zeros(length: int, like: Any) -> Any:
    """The same, filled with zeros."""
    return jax.tree.map(lambda leaf: jnp.zeros((length, *leaf.shape), leaf.dtype), like)


def combine(y: Any, weights: Any, ks: Any, which: Any = None) -> Any:
    """The sum y + Σ_i weights_i k_i over all i, or over those of `which`.

    Leaves of `ks` hold one k_i for each index.
    """

    def leaf(y: Any, k: Any) -> Any:
        terms = [weights[i] * k[i] for i in (range(k.shape[0]) if which is None else which)]
        return y + sum(terms[1:], terms[0])

    return jax.tree.map(leaf, y, ks)


def combine_row(y: Any, table: np.ndarray, row: Any, ks: Any) -> Any:
    """`combine` with a row of a table of weights.

    The row's number is known only when the program runs.

    What a CPU does with it is to read k's from memory, so it reads those alone whose weight is not
    zero.
    """

    def one(row: int) -> Any:
        used = np.flatnonzero(table[row])
        return lambda: combine(y, table[row], ks, used) if len(used) else y

    def branches() -> Any:
        return lax.switch(row, [one(number) for number in range(len(table))])

    return lax.platform_dependent(
        cpu=branches, default=lambda: combine(y, jnp.asarray(table)[row], ks)
    )


class Method:
    """An explicit Runge-Kutta method: y1 = y0 + Σ b_i k_i.

    k_i = h f(t + c_i h, y0 + Σ_j<i a_ij k_j).

    Attributes:
      fsal: whether the last stage is the next step's first.
      stages: number of stages.
      evaluations: number of stages that a step adds to those of the step before.
      a, b, error, c: coefficients as NumPy arrays in the type of the time; `error` are those of the
        error estimate.
    """

    def __init__(self, solver: Any, time: Any) -> None:
        """Of an explicit Diffrax solver, in the type of the time."""
        if isinstance(solver, diffrax.Euler):  # the one that Diffrax writes without a tableau
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

    def run(
        self,
        evaluate: Evaluate,
        y: Any,
        t: Any,
        t_next: Any,
        stages: tuple[int, Any],
        tape_index: Any,
        carry: Any,
    ) -> Any:
        """Stages first, …, last - 1 of a step from (t, y) to t_next.

        Args:
          evaluate: the field.
          y: state at t.
          t: start of the step.
          t_next: its end.
          stages: (first, last).
          tape_index: stage → where in the trace to put what is kept of its evaluation.
          carry: (k_1 … k_s, last slope or None, trace or None); returned brought up to date.
        """
        h = t_next - t

        def stage(i: Any, carry: Any) -> Any:
            ks, slope, trace = carry
            at = jnp.where(jnp.asarray(self.c)[i] == 1, t_next, t + jnp.asarray(self.c)[i] * h)
            found, kept = evaluate(at, combine_row(y, self.a, i, ks))
            ks = write(ks, jax.tree.map(lambda f: spread(h, f) * f, found), i)
            return (
                ks,
                None if slope is None else found,
                None if trace is None else write(trace, kept, tape_index(i)),
            )

        return lax.fori_loop(*stages, stage, carry)
