"""Explicit Runge-Kutta steps, whose stages are a loop that can record every evaluation."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, DTypeLike, Float

from jaxode.ode.buffers import spread, write, zeros
from jaxode.types import Arrays, IntScalar, StageSlopes, State, Times

Weights = Float[np.ndarray, " stages"] | Float[Array, " stages"]
"""One coefficient for each stage."""

Table = Float[np.ndarray, "stages stages"]
"""Coefficients a_ij: row i for stage i."""

Evaluate = Callable[[Times, State, IntScalar], tuple[State, list[Array] | None]]
"""Time, state and stage → dz/dt, and the residuals of this evaluation, or None."""

Store = Callable[[Arrays, list[Array] | None, IntScalar], Arrays]
"""Tape, residuals of an evaluation, its stage → the tape with them; None stands for no tape."""


def combine(
    y: State, weights: Weights, ks: StageSlopes, which: Iterable[int] | None = None
) -> State:
    """The sum y + Σ_i weights_i k_i.

    Args:
      y: state.
      weights: one for each stage.
      ks: k_1, …, k_s, stacked.
      which: indices of the terms; all if None.
    """

    def leaf(y: Float[Array, "*z"], k: Float[Array, "stages *z"]) -> Float[Array, "*z"]:
        terms = [weights[i] * k[i] for i in (range(k.shape[0]) if which is None else which)]
        return y + sum(terms[1:], terms[0])

    return jax.tree.map(leaf, y, ks)


def combine_row(y: State, table: Table, row: IntScalar, ks: StageSlopes) -> State:
    """`combine` with the weights of a row whose number is known only when the program runs.

    A CPU spends its time on reading the k's from memory, so there it reads only those whose weight
    is not zero.
    """

    def one(row: int) -> Callable[[], State]:
        used = np.flatnonzero(table[row]).tolist()
        return lambda: combine(y, table[row], ks, used) if used else y

    def branches() -> State:
        return lax.switch(row, [one(number) for number in range(len(table))])

    return lax.platform_dependent(
        cpu=branches, default=lambda: combine(y, jnp.asarray(table)[row], ks)
    )


class StageCarry(NamedTuple):
    """What the loop over a step's stages carries."""

    ks: StageSlopes
    """k_i = h f of the stages so far, and zeros."""
    slope: State | None
    """f of the latest stage; None where nobody needs it."""
    tape: Arrays
    """Residuals of the evaluations; None where none are stored."""


class Method:
    """An explicit Runge-Kutta method: y1 = y0 + Σ b_i k_i.

    k_i = h f(t + c_i h, y0 + Σ_j<i a_ij k_j).

    Attributes:
      order: order of convergence.
      fsal: whether the last stage is the next step's first ("first same as last").
      stages: number of stages.
      evaluations: number of stages that a step adds to those of the step before.
      a: coefficients a_ij, NumPy [stages, stages] in the type of the time, as the others are.
      b: weights of the solution.
      error: weights of the error estimate.
      c: nodes.
    """

    def __init__(self, solver: diffrax.AbstractSolver, time: DTypeLike) -> None:
        """Read the tableau off a solver.

        Args:
          solver: an explicit Diffrax solver.
          time: type of the time.
        """
        if isinstance(solver, diffrax.Euler):  # the one that Diffrax writes without a tableau
            lower, b, error, c, self.fsal = (), [1.0], [0.0], [], False
        else:
            assert isinstance(solver, diffrax.AbstractERK)
            tableau = solver.tableau
            assert isinstance(tableau, diffrax.ButcherTableau)
            lower, b, error, c = tableau.a_lower, tableau.b_sol, tableau.b_error, tableau.c
            self.fsal = bool(tableau.fsal) or getattr(solver, "reuses_last_stage", False)
        order = solver.order(None)
        assert order is not None
        self.order, self.stages = order, len(b)
        self.evaluations = self.stages - self.fsal
        a = np.zeros((self.stages, self.stages))
        for i, row in enumerate(lower):
            a[i + 1, : i + 1] = row
        self.a, self.b, self.error = (np.asarray(x, time) for x in (a, b, error))
        self.c = np.concatenate([[0.0], c]).astype(time)

    def begin_step(self, y: State, h: Times, slope: State | None, tape: Arrays) -> StageCarry:
        """The carry before the first evaluation of a step of size h.

        Args:
          y: state at the start of the step.
          h: step size.
          slope: f at the start of the step if the method is FSAL, else None.
          tape: residuals so far, or None.
        """
        ks = zeros(self.stages, y)  # not the last step's: a NaN of a rejected one would stay
        if self.fsal:
            ks = write(ks, jax.tree.map(lambda f: spread(h, f) * f, slope), 0)
        return StageCarry(ks, slope, tape)

    def run(
        self,
        evaluate: Evaluate,
        store: Store,
        y: State,
        t: Times,
        t_next: Times,
        stages: tuple[IntScalar, IntScalar],
        carry: StageCarry,
    ) -> StageCarry:
        """Evaluate stages first, …, last - 1 of a step from (t, y) to t_next.

        Args:
          evaluate: the field, and what is stored of an evaluation.
          store: writes residuals to the tape.
          y: state at t.
          t: start of the step.
          t_next: end of the step.
          stages: (first, last).
          carry: from `begin_step`, or a step before.

        Returns:
          The carry after the last of these stages.
        """
        h = t_next - t

        def stage(i: IntScalar, carry: StageCarry) -> StageCarry:
            ks, slope, tape = carry
            at = jnp.where(jnp.asarray(self.c)[i] == 1, t_next, t + jnp.asarray(self.c)[i] * h)
            f, residuals = evaluate(at, combine_row(y, self.a, i, ks), i)
            ks = write(ks, jax.tree.map(lambda f: spread(h, f) * f, f), i)
            return StageCarry(ks, None if slope is None else f, store(tape, residuals, i))

        return lax.fori_loop(*stages, stage, carry)

    def solution(self, y: State, ks: StageSlopes) -> State:
        """State at the end of the step: y + Σ b_i k_i."""
        return combine(y, self.b, ks)

    def error_estimate(self, y: State, ks: StageSlopes) -> State:
        """Difference to the embedded method; infinite where it is NaN, as in Diffrax.

        Args:
          y: the step's solution, for its shapes.
          ks: k_1, …, k_s.
        """
        error = combine(jax.tree.map(jnp.zeros_like, y), self.error, ks)
        return jax.tree.map(lambda leaf: jnp.where(jnp.isnan(leaf), jnp.inf, leaf), error)
