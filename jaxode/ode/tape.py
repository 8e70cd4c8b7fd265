"""The derivative of the steps that an explicit solve took: back over them, one evaluation of the field after another.

With Y_i the states of a step's stages and a bar for the cotangent (Hager 2000, "Runge-Kutta methods in optimal control
and the transformed adjoint system", section 2; step sizes are constants, as in Diffrax and torchdiffeq):

    k̄_i = b_i ȳ_1 + Σ_j>i a_ji Ȳ_j,   Ȳ_i = (∂f/∂z)ᵀ h k̄_i,   ȳ_0 = ȳ_1 + Σ_i Ȳ_i
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxode.ode.discrete import Loop, Problem
from jaxode.ode.failures import MAX_STEPS
from jaxode.ode.residuals import Inputs
from jaxode.ode.stepping import allocate, combine, read, write

Cotangents = tuple[Any, Any, list[Any]]
"""Of the state at the end of a step, of the states of its stages, of the real inputs."""


def solve(problem: Problem, z0: Any, inputs: Inputs) -> tuple[Any, Any, Any, Any]:
    """State at t1, steps tried, steps accepted, failure code; with a derivative in reverse mode."""

    def outcome(loop: Loop) -> tuple[Any, Any, Any, Any]:
        short = (loop.failure == 0) & (loop.t < problem.t1)
        return problem.answer(loop), loop.steps, loop.accepted, jnp.where(short, MAX_STEPS, loop.failure)

    @jax.custom_vjp
    def run(z0: Any, inputs: Inputs) -> Any:
        return outcome(problem.solve(z0, inputs, remember=False))

    def forward(z0: Any, inputs: Inputs) -> Any:
        loop = problem.solve(z0, inputs, remember=True)
        return outcome(loop), (loop.memory, loop.accepted, z0, inputs)

    def backward(saved: Any, cotangents: Any) -> Any:
        to_z0, to_real = Sweep(problem, *saved).back(cotangents[0])
        return to_z0, Inputs(to_real, None)  # type: ignore[arg-type]

    run.defvjp(forward, backward)
    return run(z0, inputs)


class Sweep:
    """The way back from t1 to t0."""

    def __init__(self, problem: Problem, memory: Any, accepted: Any, z0: Any, inputs: Inputs) -> None:
        """Over the accepted steps, from what the forward solve remembered of them."""
        self.problem, self.memory, self.accepted, self.inputs = problem, memory, accepted, inputs
        self.blank = jax.tree.map(jnp.zeros_like, z0)
        self.stages = jax.tree.map(lambda leaf: jnp.zeros((problem.method.stages, *leaf.shape), leaf.dtype), self.blank)
        self.common = problem.split.common(problem.t0, self.blank, inputs)

    def back(self, cotangent: Any) -> tuple[Any, list[Any]]:
        """Cotangents of z0 and of the real inputs, from that of the answer."""
        problem, method = self.problem, self.problem.method
        self.to_start, self.to_ks = None, None
        if problem.interpolation:
            t, t_next = self.memory.times[self.accepted - 1], self.memory.times[self.accepted]
            _, pull = jax.vjp(
                lambda y, start, ks: problem.inside(y, start, ks, t, t_next), self.blank, self.blank, self.stages
            )
            cotangent, self.to_start, self.to_ks = pull(cotangent)
        cotangents = cotangent, self.stages, jax.tree.map(jnp.zeros_like, self.inputs.real)

        if not problem.taped:
            cotangents = self._replay(self.memory.states, cotangents)
        elif problem.taped < problem.max_steps:
            beyond = self.accepted > problem.taped
            cotangents = lax.cond(beyond, lambda c: self._replay(self._again(), c), lambda c: c, cotangents)
        if problem.taped > 0:
            count = jnp.minimum(self.accepted, problem.taped)
            cotangents = lax.fori_loop(
                0,
                count,
                lambda m, c: self._step(count - 1 - m, c, self.memory.tape, problem.base(count - 1 - m)),
                cotangents,
            )
        return cotangents[0], cotangents[2]

    def _again(self) -> Any:
        """Start states of the steps after the taped ones, from running them again."""
        problem, times = self.problem, self.memory.times
        method, first = problem.method, problem.taped

        def advance(m: Any, carry: Any) -> Any:
            states, ks = carry
            y = read(states, m)
            evaluate = lambda t, y: (problem.split.evaluate(t, y, self.inputs), None)  # noqa: E731
            ks, *_ = method.run(
                evaluate, y, times[first + m], times[first + m + 1], 0, method.evaluations, (ks, None, None, 0)
            )
            return write(states, combine(y, method.b, ks), m + 1), ks

        states = write(allocate(problem.max_steps - first, self.blank), self.memory.beyond, 0)
        return lax.fori_loop(0, self.accepted - first - 1, advance, (states, self.stages))[0]

    def _replay(self, states: Any, cotangents: Cotangents) -> Cotangents:
        """Go back over the steps after the taped ones, running each again for its residuals."""
        problem, times = self.problem, self.memory.times

        def step(m: Any, carry: Any) -> Any:
            n = self.accepted - 1 - m
            cotangents, scratch, ks = carry
            evaluate = lambda t, y: problem.split.forward(t, y, self.inputs)  # noqa: E731
            start = read(states, n - problem.taped), times[n], times[n + 1]
            ks, _, scratch, _ = problem.method.run(evaluate, *start, 0, self._top(n), (ks, None, scratch, 0))
            return self._step(n, cotangents, scratch, 0), scratch, ks

        scratch = allocate(problem.method.stages, problem.split.kept)
        return lax.fori_loop(0, self.accepted - problem.taped, step, (cotangents, scratch, self.stages))[0]

    def _top(self, n: Any) -> Any:
        """Stages that count: an FSAL method's last one is the next step's first, but for the last step of all."""
        method = self.problem.method
        if not (method.fsal and self.problem.interpolation):
            return method.evaluations
        return jnp.where(n == self.accepted - 1, method.stages, method.evaluations)

    def _step(self, n: Any, cotangents: Cotangents, residuals: Any, base: Any) -> Cotangents:
        method, split = self.problem.method, self.problem.split
        y, stages, real = cotangents
        h = self.memory.times[n + 1] - self.memory.times[n]
        top = self._top(n)
        if method.fsal:
            stages = write(stages, self.blank, method.stages - 1)

        def stage(m: Any, carry: Any) -> Any:
            stages, real = carry
            i = top - 1 - m
            own = jax.tree.map(lambda leaf: jnp.asarray(method.b)[i] * leaf, y)
            own = self._add_last(n, own, None if self.to_ks is None else read(self.to_ks, i))
            slope = jax.tree.map(lambda leaf: h * leaf, combine(own, jnp.asarray(method.a)[:, i], stages))
            to_y, to_real = split.pull(read(residuals, base + i), self.common, slope)
            return write(stages, to_y, i), jax.tree.map(jnp.add, real, to_real)

        stages, real = lax.fori_loop(0, top, stage, (stages, real))
        y = combine(y, jnp.ones_like(method.b), stages)
        return self._add_last(n, y, self.to_start), stages, real

    def _add_last(self, n: Any, value: Any, extra: Any) -> Any:
        """Value, and for the last step of all what reaches it through the answer's polynomial."""
        if extra is None:
            return value
        return jax.tree.map(lambda v, e: v + jnp.where(n == self.accepted - 1, e, 0), value, extra)
