"""Explicit solves that differentiate the steps they took, and remember what that needs: the modes tape and replay."""

from __future__ import annotations

from typing import Any, NamedTuple

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxode.ode.failures import code_of
from jaxode.ode.residuals import Inputs, Split
from jaxode.ode.stepping import Method, allocate, combine, read, write


class Memory(NamedTuple):
    """What a solve remembers of its accepted steps; empty where no gradient is asked for."""

    tape: Any
    """Kept residuals, one element an evaluation, of the first accepted steps."""
    beyond: Any
    """State after those steps, from which the others can be run again."""
    states: Any
    """Start state of every accepted step, where there is no tape."""
    times: Any
    """Start of every accepted step, and the end of the last."""


class Loop(NamedTuple):
    """Where a solve stands."""

    y: Any
    slope: Any
    """f(t, y)."""
    ks: Any
    """The last step's k_i; the first is the next step's if the method is FSAL."""
    start: Any
    """Time and state at the start of the last step; kept only if the answer lies inside of it."""
    t: Any
    t_next: Any
    control: Any
    failure: Any
    steps: Any
    accepted: Any
    memory: Memory


class Problem:
    """One solve, its times counted forward from t0 to t1."""

    def __init__(self, split: Split, solver: Any, controller: Any, t0: Any, t1: Any, *, max_steps: int, taped: int,
                 overshoot: bool) -> None:  # fmt: skip
        """Of a field, for at most `max_steps` steps, the first `taped` of which leave their residuals."""
        self.split, self.controller, self.t0, self.t1 = split, controller, t0, t1
        self.method = Method(solver, t0.dtype)
        self.order = solver.order(None)
        self.interpolation = solver.interpolation_cls if overshoot else None
        self.max_steps, self.taped = max_steps, min(taped, max_steps)

    def base(self, accepted: Any) -> Any:
        """Index on the tape of the first stage of a step; steps that are not taped share the last place."""
        return jnp.minimum(accepted, self.taped) * self.method.evaluations

    def solve(self, z0: Any, inputs: Inputs, remember: bool) -> Loop:
        """Step from t0 to t1, or past it if the answer is interpolated."""
        method, taping = self.method, remember and self.taped > 0

        def evaluate(t: Any, y: Any) -> Any:
            return self.split.forward(t, y, inputs) if taping else (self.split.evaluate(t, y, inputs), None)

        slope, kept = evaluate(self.t0, z0) if method.fsal else (None, None)
        tape = allocate(self.taped * method.evaluations + method.stages, self.split.kept) if taping else None
        if method.fsal and taping:
            tape = write(tape, kept, 0)
        memory = Memory(
            tape,
            z0 if taping and self.taped < self.max_steps else None,
            allocate(self.max_steps, z0) if remember and not self.taped else None,
            allocate(self.max_steps + 1, self.t0).at[0].set(self.t0) if remember else None,
        )
        term = diffrax.ODETerm(lambda t, y, _: self.split.evaluate(t, y, inputs))
        t_next, control = self.controller.init(term, self.t0, self.t1, z0, None, None, None, self.order)
        t_next = t_next if self.interpolation else jnp.minimum(t_next, self.t1)
        zero = jnp.zeros((), jnp.int32)
        ks = jax.tree.map(lambda leaf: jnp.zeros((method.stages, *leaf.shape), leaf.dtype), z0)
        start = (jnp.asarray(self.t0), z0) if self.interpolation else None
        loop = Loop(z0, slope, ks, start, self.t0, t_next, control, zero, zero, zero, memory)
        return lax.while_loop(self._unfinished, lambda loop: self._step(loop, evaluate), loop)

    def _unfinished(self, loop: Loop) -> Any:
        return (loop.t < self.t1) & (loop.failure == 0) & (loop.steps < self.max_steps)

    def _step(self, loop: Loop, evaluate: Any) -> Loop:
        method, h = self.method, loop.t_next - loop.t
        ks = loop.ks
        if method.fsal:
            ks = write(ks, jax.tree.map(lambda f: h * f, loop.slope), 0)
        carry = ks, loop.slope, loop.memory.tape, self.base(loop.accepted)
        ks, slope, tape, _ = method.run(evaluate, loop.y, loop.t, loop.t_next, int(method.fsal), method.stages, carry)
        y = combine(loop.y, method.b, ks)
        error = jax.tree.map(lambda leaf: combine(jnp.zeros_like(leaf[0]), method.error, leaf), ks)
        error = jax.tree.map(lambda leaf: jnp.where(jnp.isnan(leaf), jnp.inf, leaf), error)
        keep, t, t_next, _, control, result = self.controller.adapt_step_size(
            loop.t, loop.t_next, loop.y, y, None, error, self.order, loop.control
        )
        if not self.interpolation:
            t, t_next = jnp.minimum(t, self.t1), self._cut(t, t_next, keep)

        def choose(new: Any, old: Any) -> Any:
            return jax.tree.map(lambda a, b: jnp.where(keep, a, b), new, old)

        _, beyond, states, times = loop.memory
        if times is not None:
            times = write(times, loop.t_next, loop.accepted + 1)
        if states is not None:
            states = write(states, loop.y, loop.accepted)
        if beyond is not None:
            beyond = jax.tree.map(lambda new, old: jnp.where(loop.accepted <= self.taped, new, old), loop.y, beyond)
        return Loop(
            y=choose(y, loop.y),
            slope=choose(slope, loop.slope),
            ks=ks,
            start=(loop.t, loop.y) if self.interpolation else None,
            t=t,
            t_next=t_next,
            control=control,
            failure=code_of(result),
            steps=loop.steps + 1,
            accepted=loop.accepted + jnp.where(keep, 1, 0),
            memory=Memory(tape, beyond, states, times),
        )

    def _cut(self, t: Any, t_next: Any, keep: Any) -> Any:
        """Diffrax's rule: a step to within 100 units in the last place of t1, or past it, ends on t1.

        After a rejection it is halved instead.
        """
        floor = np.asarray(self.t1)
        for _ in range(100):
            floor = np.nextafter(floor, np.asarray(-np.inf, floor.dtype))
        end = jnp.where(keep, self.t1, t + 0.5 * (self.t1 - t))
        return jnp.where(t_next > floor, end, t_next)

    def answer(self, loop: Loop) -> Any:
        """The state at t1; infinite if it should be read off a step that was never reached."""
        if not self.interpolation:
            return loop.y
        t, start = loop.start
        there = loop.t >= self.t1
        inside = self.inside(loop.y, start, loop.ks, t, loop.t)
        return jax.tree.map(lambda leaf: jnp.where(there, leaf, jnp.inf), inside)

    def inside(self, y: Any, start: Any, ks: Any, t: Any, t_next: Any) -> Any:
        """The last step's polynomial at t1."""
        assert self.interpolation is not None
        return self.interpolation(t0=t, t1=t_next, y0=start, y1=y, k=ks).evaluate(self.t1)
