"""Adams' methods with fixed steps, as torchdiffeq's explicit_adams and implicit_adams.

The predictor is Adams-Bashforth's of the order that the stored slopes allow, at most 11; the
corrector Adams-Moulton's of one order more, by functional iteration of at most four evaluations.
The first steps are Kutta's 3/8 rule. Where the iteration does not converge, the oldest slope is
dropped.

Source: Hairer, Nørsett and Wanner 1993, III.1, equations 1.5 and 1.8.
"""

from __future__ import annotations

import functools
from fractions import Fraction
from typing import NamedTuple

import equinox.internal as eqxi
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float

from jaxode.config import SolveConfig
from jaxode.ode.buffers import Buffers, broadcast_time
from jaxode.ode.dense_output import DenseOutput
from jaxode.ode.end_rules import Outputs, TriedStep
from jaxode.ode.from_config import most_steps, torchdiffeq_controller
from jaxode.ode.loop_state import LoopKind
from jaxode.ode.norms import rms_norm
from jaxode.ode.options import StepOptions
from jaxode.ode.polynomials import StepPolynomial, hermite, linear
from jaxode.ode.residuals import Inputs, LinearizedField
from jaxode.ode.runge_kutta import Method
from jaxode.ode.solvers import make_solver
from jaxode.ode.stats import Outcome
from jaxode.ode.times import Span
from jaxode.ode.torchdiffeq_steps import Grid, scales
from jaxode.types import Counts, State, Times

STORED = 11
"""Most slopes that are stored, torchdiffeq's `max_order` - 1."""

FEWEST = 3
"""With fewer stored slopes a step is one of Kutta's 3/8 rule."""

ITERATIONS = 4
"""Most evaluations of a corrector."""


class _Carry(NamedTuple):
    y: State
    slopes: Buffers
    """f at the starts of the latest steps, the newest first."""
    stored: Counts
    """How many of them there are."""
    outputs: Outputs
    done: Counts
    evaluations: Counts


def solve_adams(
    linearized: LinearizedField,
    z0: State,
    inputs: Inputs,
    config: SolveConfig,
    span: Span,
    options: StepOptions,
    kind: LoopKind = "lax",
) -> Outcome:
    """States at the output times, [T, ...].

    Args:
      linearized: the field in a rising time.
      z0: state at t0.
      inputs: what the field reads besides time and state.
      config: solver explicit_adams or implicit_adams; `rtol` and `atol` are those of the
        corrector's iteration.
      span: start, direction and output times.
      options: torchdiffeq's.
      kind: of the loop over steps.
    """
    grid, steps = torchdiffeq_controller(config, span, options, rms_norm)
    assert isinstance(grid, Grid)
    assert steps is not None
    limit = steps if isinstance(steps, int) else most_steps(config, span)
    method = _Adams(linearized, inputs, span, config, options)
    cubic = options.interp == "cubic"
    interpolant = hermite if cubic else linear
    end = DenseOutput(
        method.start, StepPolynomial(interpolant, 2 if cubic else 1), (),
        steps=steps, differentiable=kind != "lax",
    )  # fmt: skip
    zero = jnp.zeros((), jnp.int32)

    def step(carry: _Carry) -> _Carry:
        t = jnp.where(carry.done == 0, 0, grid.point(carry.done))
        t_next = grid.point(carry.done + 1)
        f0 = method.evaluate(t, carry.y, after=options.perturb)
        slopes = jax.tree.map(
            lambda new, old: jnp.concatenate([new[None], old[:-1]]), f0, carry.slopes
        )
        stored = jnp.minimum(carry.stored + 1, STORED)
        dy, stored, used = lax.cond(
            stored < FEWEST, method.runge_kutta, method.adams, carry.y, slopes, stored, t, t_next
        )
        y = jax.tree.map(jnp.add, carry.y, dy)
        h = t_next - t
        ks = jax.tree.map(lambda f: (h * f)[None], f0)
        used = used + 1
        if cubic:
            f1 = method.evaluate(t_next, y)
            ks = jax.tree.map(lambda k, f: jnp.concatenate([k, (h * f)[None]]), ks, f1)
        tried = TriedStep(carry.done, t, t_next, carry.y, y, ks, jnp.asarray(True))
        outputs = end.after_step(carry.outputs, tried, span)
        if cubic:
            used = used + outputs.next - carry.outputs.next
        return _Carry(y, slopes, stored, outputs, carry.done + 1, carry.evaluations + used)

    empty = jax.tree.map(lambda z: jnp.zeros((STORED, *z.shape), z.dtype), z0)
    begin = _Carry(z0, empty, zero, end.begin(z0, span, False), zero, zero)
    running = lambda carry: (carry.done < steps) & (carry.done < limit)  # noqa: E731
    if kind == "lax":
        last = lax.while_loop(running, step, begin)
    else:
        last = eqxi.while_loop(running, step, begin, max_steps=limit, kind=kind)
    return Outcome(last.outputs.states, last.done, last.done, zero, last.evaluations)


class _Adams:
    """Steps of one solve."""

    def __init__(
        self,
        linearized: LinearizedField,
        inputs: Inputs,
        span: Span,
        config: SolveConfig,
        options: StepOptions,
    ) -> None:
        self.linearized, self.inputs, self.span = linearized, inputs, span
        self.config, self.perturb = config, options.perturb
        self.dtype = jnp.asarray(span.outputs).dtype
        self.start = Method(make_solver("rk4", 0.0, 0.0), self.dtype)
        self.bashforth, self.moulton = (
            np.asarray(table, self.dtype) for table in (bashforth(), moulton())
        )

    def evaluate(self, s: Times, y: State, *, before: bool = False, after: bool = False) -> State:
        """The field at a time since the start, or just before or after it."""
        beside = {"before": jnp.asarray(before)} if before else {}
        if after:
            beside["after"] = jnp.asarray(after)
        at = broadcast_time(jnp.asarray(self.span.clock(s, **beside)), y)
        return self.linearized.evaluate(at, y, self.inputs)

    def runge_kutta(
        self, y: State, slopes: Buffers, stored: Counts, t: Times, t_next: Times
    ) -> tuple[State, Counts, Counts]:
        """A step of Kutta's 3/8 rule from the newest slope."""
        h, ks = t_next - t, [jax.tree.map(lambda f: f[0], slopes)]
        for i in range(1, 4):
            at = y
            for weight, k in zip(self.start.a[i, :i], ks, strict=True):
                at = jax.tree.map(lambda a, k, w=weight: a + h * w * k, at, k)
            last = i == 3
            s = t_next if last else t + self.start.c[i] * h
            ks.append(self.evaluate(s, at, before=last and self.perturb))
        dy = jax.tree.map(
            lambda *k: h * sum(w * f for w, f in zip(self.start.b, k, strict=True)), *ks
        )
        return dy, stored, jnp.asarray(3, jnp.int32)

    def adams(
        self, y: State, slopes: Buffers, stored: Counts, t: Times, t_next: Times
    ) -> tuple[State, Counts, Counts]:
        """A predictor's step, corrected by an implicit method."""
        h, none = t_next - t, jnp.zeros((), jnp.int32)
        dy = _weighted(h * jnp.asarray(self.bashforth)[stored], slopes)
        if self.config.solver_facts.name == "explicit_adams":
            return dy, stored, none
        weights = jnp.asarray(self.moulton)[stored + 1]
        delta = _weighted(h * weights[1:], slopes)

        def correct(carry: tuple[State, Bool[Array, ""], Counts]) -> tuple:
            dy, _, used = carry
            f = self.evaluate(t_next, jax.tree.map(jnp.add, y, dy), before=self.perturb)
            new = jax.tree.map(lambda f, d: h * weights[0] * f + d, f, delta)
            return new, self._close(dy, new), used + 1

        carry = correct((dy, jnp.asarray(False), none))
        for _ in range(ITERATIONS - 1):
            carry = lax.cond(carry[1], lambda carry: carry, correct, carry)
        dy, converged, used = carry
        return dy, stored - jnp.where(converged, 0, 1), used

    def _close(self, before: State, after: State) -> Bool[Array, ""]:
        """Whether every number has changed by less than its tolerance."""
        before, after = lax.stop_gradient((before, after))
        larger = jax.tree.map(lambda a, b: jnp.maximum(jnp.abs(a), jnp.abs(b)), before, after)
        allowed = scales(self.config.rtol, self.config.atol, larger)
        ratios = jax.tree.map(lambda a, b, s: (jnp.abs(a - b) / s).max(), before, after, allowed)
        return jnp.stack(jax.tree.leaves(ratios)).max() < 1


def _weighted(weights: Float[Array, " n"], slopes: Buffers) -> State:
    return jax.tree.map(lambda f: sum(weights[i] * f[i] for i in range(f.shape[0])), slopes)


@functools.cache
def bashforth() -> np.ndarray:
    """Adams-Bashforth's coefficients, one row for each order up to 11; the newest slope first."""
    table = np.zeros((STORED + 1, STORED))
    for order in range(1, STORED + 1):
        table[order, :order] = _weights([-j for j in range(order)])
    return table


@functools.cache
def moulton() -> np.ndarray:
    """Adams-Moulton's, up to order 12; the slope at the end of the step first."""
    table = np.zeros((STORED + 2, STORED + 1))
    for order in range(1, STORED + 2):
        table[order, :order] = _weights([1 - j for j in range(order)])
    return table


def _weights(nodes: list[int]) -> list[float]:
    """Integrals from 0 to 1 of the Lagrange polynomials at these nodes."""
    weights = []
    for j, node in enumerate(nodes):
        coefficients = [Fraction(1)]  # of a polynomial in s, the constant first
        for i, other in enumerate(nodes):
            if i != j:
                scale = Fraction(1, node - other)
                raised = [Fraction(0), *coefficients]
                coefficients = [
                    scale * (a - other * b)
                    for a, b in zip(raised, [*coefficients, Fraction(0)], strict=True)
                ]
        weights.append(float(sum(c / (k + 1) for k, c in enumerate(coefficients))))
    return weights
