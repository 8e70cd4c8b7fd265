"""An explicit solve as one loop over steps, which remembers what its derivative needs (`jaxode.ode.tape`).

Steps, accepted and rejected, and their sizes are those of Diffrax with the same solver and controller.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxode.ode.failures import MAX_STEPS, code_of
from jaxode.ode.residuals import Inputs, Split
from jaxode.ode.stepping import Method, allocate, combine, write, zeros


class Memory(NamedTuple):
    """What a solve remembers of its accepted steps, which count in segments of `Problem.segment` steps."""

    times: Any
    """Start of every step, and the end of the last."""
    states: Any
    """State at the start of every segment; one element more, to which the other states go."""
    tape: Any
    """Kept residuals of the last segment's evaluations: a ring, see `Problem.place`. None under replay."""


class Loop(NamedTuple):
    """Where a solve stands."""

    y: Any
    slope: Any
    """f(t, y) of an FSAL method, else None."""
    ks: Any
    """The last step's k_i; None unless the answer lies inside of it."""
    start: Any
    """Time and state at its start, likewise."""
    t: Any
    t_next: Any
    control: Any
    failure: Any
    steps: Any
    accepted: Any
    memory: Memory | None
    """None where no gradient is asked for."""


class Problem:
    """One solve from t0 to t1 > t0.

    Args:
      split: the field.
      solver: an explicit Diffrax solver.
      controller: a step-size controller of `jaxode.ode.stepsize`.
      t0: start, a NumPy scalar.
      t1: end, of the same type.
      max_steps: most steps, accepted and rejected.
      segment: accepted steps whose residuals are held at one time.
      taping: whether residuals are kept on the way forward.
      overshoot: whether to step past t1 and read the answer off the solver's interpolant.
    """

    def __init__(
        self, split: Split, solver: Any, controller: Any, t0: Any, t1: Any, *,
        max_steps: int, segment: int, taping: bool, overshoot: bool,
    ) -> None:  # fmt: skip
        self.split, self.controller, self.t0, self.t1 = split, controller, t0, t1
        self.method = Method(solver, t0.dtype)
        self.order = solver.order(None)
        self.interpolation = solver.interpolation_cls if overshoot else None
        self.max_steps, self.segment, self.taping = max_steps, min(segment, max_steps), taping
        self.slots = self.segment * self.method.evaluations + self.method.fsal

    def place(self, n: Any, i: Any) -> Any:
        """Where on the tape stage i of accepted step n is; an FSAL method's last stage is the next step's first."""
        return (n * self.method.evaluations + i) % self.slots

    def solve(self, z0: Any, inputs: Inputs, remember: bool) -> Loop:
        """Step until t1 is reached, or the solve has failed."""
        method, taping = self.method, remember and self.taping

        def evaluate(t: Any, y: Any) -> Any:
            return self.split.forward(t, y, inputs) if taping else (self.split.evaluate(t, y, inputs), None)

        slope, kept = evaluate(self.t0, z0) if method.fsal else (None, None)
        tape = allocate(self.slots, self.split.kept) if taping else None
        if method.fsal and taping:
            tape = write(tape, kept, 0)
        memory = None
        if remember:
            times = allocate(self.max_steps + 1, self.t0).at[0].set(self.t0)
            memory = Memory(times, allocate(-(-self.max_steps // self.segment) + 1, z0), tape)
        term = diffrax.ODETerm(lambda t, y, _: self.split.evaluate(t, y, inputs))
        t_next, control = self.controller.init(term, self.t0, self.t1, z0, None, None, None, self.order)
        loop = Loop(
            y=z0,
            slope=slope,
            ks=zeros(method.stages, z0) if self.interpolation else None,
            start=(jnp.asarray(self.t0), z0) if self.interpolation else None,
            t=jnp.asarray(self.t0),
            t_next=t_next if self.interpolation else jnp.minimum(t_next, self.t1),
            control=control,
            failure=jnp.zeros((), jnp.int32),
            steps=jnp.zeros((), jnp.int32),
            accepted=jnp.zeros((), jnp.int32),
            memory=memory,
        )
        loop = lax.while_loop(self._unfinished, lambda loop: self._step(loop, evaluate), loop)
        short = (loop.failure == 0) & (loop.t < self.t1)
        return loop._replace(failure=jnp.where(short, MAX_STEPS, loop.failure))

    def _unfinished(self, loop: Loop) -> Any:
        return (loop.t < self.t1) & (loop.failure == 0) & (loop.steps < self.max_steps)

    def _step(self, loop: Loop, evaluate: Any) -> Loop:
        method, n, h = self.method, loop.accepted, loop.t_next - loop.t
        ks = zeros(method.stages, loop.y)  # not those of the step before: a NaN of a rejected one would stay
        tape = loop.memory and loop.memory.tape
        if method.fsal:
            ks = write(ks, jax.tree.map(lambda f: h * f, loop.slope), 0)
        ks, slope, tape = method.run(
            evaluate, loop.y, loop.t, loop.t_next, (int(method.fsal), method.stages),
            lambda i: self.place(n, i), (ks, loop.slope, tape),
        )  # fmt: skip
        y = combine(loop.y, method.b, ks)
        error = combine(jax.tree.map(jnp.zeros_like, y), method.error, ks)
        error = jax.tree.map(lambda leaf: jnp.where(jnp.isnan(leaf), jnp.inf, leaf), error)  # as Diffrax
        keep, t, t_next, _, control, result = self.controller.adapt_step_size(
            loop.t, loop.t_next, loop.y, y, None, error, self.order, loop.control
        )
        if not self.interpolation:
            t, t_next = jnp.minimum(t, self.t1), self._cut(t, t_next, keep)
        memory = loop.memory
        if memory is not None:
            begins = jnp.where(n % self.segment == 0, n // self.segment, -(-self.max_steps // self.segment))
            memory = Memory(write(memory.times, loop.t_next, n + 1), write(memory.states, loop.y, begins), tape)

        def choose(new: Any, old: Any) -> Any:
            return jax.tree.map(lambda a, b: jnp.where(keep, a, b), new, old)

        return Loop(
            y=choose(y, loop.y),
            slope=choose(slope, loop.slope),
            ks=ks if self.interpolation else None,
            start=(loop.t, loop.y) if self.interpolation else None,
            t=t,
            t_next=t_next,
            control=control,
            failure=code_of(result),
            steps=loop.steps + 1,
            accepted=n + jnp.where(keep, 1, 0),
            memory=memory,
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
        inside = self.inside(loop.y, start, loop.ks, t, loop.t)
        return jax.tree.map(lambda leaf: jnp.where(loop.t >= self.t1, leaf, jnp.inf), inside)

    def inside(self, y: Any, start: Any, ks: Any, t: Any, t_next: Any) -> Any:
        """The last step's polynomial at t1."""
        assert self.interpolation is not None
        return self.interpolation(t0=t, t1=t_next, y0=start, y1=y, k=ks).evaluate(self.t1)
