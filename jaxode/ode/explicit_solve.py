"""An explicit solve as one loop over steps, which records what its derivative needs.

The record is `jaxode.ode.tape`'s.

Steps, accepted and rejected, and their sizes are those of Diffrax with the same solver and
controller.

Step sizes may be per sample. Then times, step sizes and counts are arrays [B], and the
loop goes on until the last image is done. A row is one pass of the loop in which some image accepts
its step; to the others, which reject theirs or are done, it is a step of size zero. One step size
for all images is the case in which every row is a step.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxode.ode.failures import MAX_STEPS, code_of
from jaxode.ode.norms import rms_norm
from jaxode.ode.residuals import Inputs, LinearizedField
from jaxode.ode.stepping import Method, allocate, combine, spread, write, zeros


class Memory(NamedTuple):
    """What a solve stores of its steps, in segments of `ExplicitSolve.segment` steps."""

    times: Any
    """Start of every row, and the end of the last."""
    states: Any
    """State at the start of every segment; one element more, to which the other states go."""
    tape: Any
    """Kept residuals of the last segment's evaluations: a ring, see `ExplicitSolve.tape_index`.

    None under replay.
    """
    tape_invalid: Any
    """Whether a step that one image rejected and another accepted left what is not finite on the
    tape.
    """


class Loop(NamedTuple):
    """Where a solve stands."""

    y: Any
    slope: Any
    """f(t, y) of an FSAL method, else None."""
    ks: Any
    """The last step's k_i; None unless the answer lies inside of it."""
    start: Any
    """Time and state at its start and its row, likewise."""
    t: Any
    t_next: Any
    control: Any
    failure: Any
    steps: Any
    accepted: Any
    rows: Any
    """Of which some image accepted its step: `accepted`, where all share one step size."""
    memory: Memory | None
    """None where no gradient is asked for."""


class ExplicitSolve:
    """One solve from t0 to t1 > t0.

    Args:
      linearized: the field.
      solver: an explicit Diffrax solver.
      controller: a step-size controller of `jaxode.ode.stepsize`.
      t0: start, a NumPy scalar.
      t1: end, of the same type.
      max_steps: most steps, accepted and rejected.
      segment: rows whose residuals are held at one time.
      taping: whether residuals are kept on the way forward.
      overshoot: whether to step past t1 and read the answer off the solver's interpolant.
      images: number of examples with per-sample step sizes, or None for one step size;
        `linearized` then takes times [B, 1, …, 1].
    """

    def __init__(
        self, linearized: LinearizedField, solver: Any, controller: Any, t0: Any, t1: Any, *,
        max_steps: int, segment: int, taping: bool, overshoot: bool, images: int | None,
    ) -> None:  # fmt: skip
        self.batch_shape = () if images is None else (images,)
        self.linearized, self.controller, self.t0, self.t1 = linearized, controller, t0, t1
        self.method = Method(solver, t0.dtype)
        self.order = solver.order(None)
        self.interpolation = solver.interpolation_cls if overshoot else None
        self.max_steps, self.segment, self.taping = max_steps, min(segment, max_steps), taping
        self.slots = self.segment * self.method.evaluations + self.method.fsal

    def tape_index(self, n: Any, i: Any) -> Any:
        """The tape's index of stage i of step n.

        An FSAL method's last stage is the next step's first.
        """
        return (n * self.method.evaluations + i) % self.slots

    def solve(self, z0: Any, inputs: Inputs, remember: bool) -> Loop:
        """Step until t1 is reached, or the solve has failed."""
        method, taping = self.method, remember and self.taping

        def evaluate(t: Any, y: Any) -> Any:
            t = self.clock(t, y)
            return (
                self.linearized.forward(t, y, inputs)
                if taping
                else (self.linearized.evaluate(t, y, inputs), None)
            )

        start = jnp.broadcast_to(self.t0, self.batch_shape)
        slope, kept = evaluate(start, z0) if method.fsal else (None, None)
        tape = allocate(self.slots, self.linearized.saved) if taping else None
        if method.fsal and taping:
            tape = write(tape, kept, 0)
        memory = None
        if remember:
            times = allocate(self.max_steps + 1, start).at[0].set(start)
            memory = Memory(
                times,
                allocate(-(-self.max_steps // self.segment) + 1, z0),
                tape,
                jnp.asarray(False),
            )
        t_next, control = self._begin(start, z0, inputs)
        none = jnp.zeros(self.batch_shape, jnp.int32)
        loop = Loop(
            y=z0,
            slope=slope,
            ks=zeros(method.stages, z0) if self.interpolation else None,
            start=(start, z0, none) if self.interpolation else None,
            t=start,
            t_next=t_next if self.interpolation else jnp.minimum(t_next, self.t1),
            control=control,
            failure=none,
            steps=none,
            accepted=none,
            rows=jnp.zeros((), jnp.int32),
            memory=memory,
        )
        loop = lax.while_loop(
            lambda loop: self._going(loop).any(), lambda loop: self._step(loop, evaluate), loop
        )
        short = (loop.failure == 0) & (loop.t < self.t1)
        return loop._replace(failure=jnp.where(short, MAX_STEPS, loop.failure))

    def clock(self, t: Any, y: Any) -> Any:
        """Time as the field takes it."""
        return spread(t, jax.tree.leaves(y)[0])

    def _begin(self, start: Any, z0: Any, inputs: Inputs) -> tuple[Any, Any]:
        """End of the first step, and the controller's state."""
        if not self.batch_shape:
            term = diffrax.ODETerm(lambda t, y, _: self.linearized.evaluate(t, y, inputs))
            return self.controller.init(term, self.t0, self.t1, z0, None, None, None, self.order)
        each = self.controller.first_step(
            lambda t, y: self.linearized.evaluate(self.clock(t, y), y, inputs),
            start,
            z0,
            self.order,
            jax.vmap(rms_norm),
        )
        return jax.vmap(
            lambda t, y, first: self.controller.init(
                None, t, self.t1, y, first, None, None, self.order
            )
        )(start, z0, each)

    def _adapt(self, loop: Loop, y: Any, error: Any) -> Any:
        """Whether to accept the step, then state, next step's end, controller state and failure."""

        def adapt(t: Any, t_next: Any, y0: Any, y: Any, error: Any, control: Any) -> Any:
            keep, t, t_next, _, control, result = self.controller.adapt_step_size(
                t, t_next, y0, y, None, error, self.order, control
            )
            return jnp.asarray(keep), t, t_next, control, code_of(result)

        return (jax.vmap(adapt) if self.batch_shape else adapt)(
            loop.t, loop.t_next, loop.y, y, error, loop.control
        )

    def _going(self, loop: Loop) -> Any:
        return (loop.t < self.t1) & (loop.failure == 0) & (loop.steps < self.max_steps)

    def _step(self, loop: Loop, evaluate: Any) -> Loop:
        method, n, going = self.method, loop.rows, self._going(loop)
        if (
            self.batch_shape
        ):  # finished examples stay as they are: further steps could leave finite numbers
            loop = loop._replace(t_next=jnp.where(going, loop.t_next, loop.t))
        h = loop.t_next - loop.t
        ks = zeros(
            method.stages, loop.y
        )  # not those of the step before: a NaN of a rejected one would stay
        tape = loop.memory and loop.memory.tape
        if method.fsal:
            ks = write(ks, jax.tree.map(lambda f: spread(h, f) * f, loop.slope), 0)
        tape_index = partial(self.tape_index, n)
        ks, slope, tape = method.run(
            evaluate,
            loop.y,
            loop.t,
            loop.t_next,
            (int(method.fsal), method.stages),
            tape_index,
            (ks, loop.slope, tape),
        )
        y = combine(loop.y, method.b, ks)
        error = combine(jax.tree.map(jnp.zeros_like, y), method.error, ks)
        error = jax.tree.map(
            lambda leaf: jnp.where(jnp.isnan(leaf), jnp.inf, leaf), error
        )  # as Diffrax
        keep, t, t_next, control, failure = self._adapt(loop, y, error)
        if not self.interpolation:
            t, t_next = jnp.minimum(t, self.t1), self._cut(t, t_next, keep)

        def choose(which: Any, new: Any, old: Any) -> Any:
            return jax.tree.map(lambda a, b: jnp.where(spread(which, a), a, b), new, old)

        ks, start = (ks, (loop.t, loop.y, n)) if self.interpolation else (None, None)
        if self.batch_shape:
            keep = keep & going
            t, control, failure = choose(
                going, (t, control, failure), (loop.t, loop.control, loop.failure)
            )
            if self.interpolation:
                start = choose(
                    going, (loop.t, loop.y, jnp.broadcast_to(n, self.batch_shape)), loop.start
                )
                ks = jax.tree.map(lambda a, b: jnp.where(spread(going, a[0]), a, b), ks, loop.ks)
        z, memory = choose(keep, y, loop.y), loop.memory
        if memory is not None:
            tape_invalid = memory.tape_invalid
            if self.batch_shape and tape is not None:
                mixed = keep.any() & (going & ~keep).any()
                tame = jnp.stack(
                    [jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(error)]
                ).all()
                tape_invalid = tape_invalid | (mixed & ~tame)
                if (
                    method.fsal
                ):  # the next row's first stage, of the images that stay where they were too
                    tape = lax.fori_loop(
                        0,
                        jnp.where(mixed, 1, 0),
                        lambda _, tape: write(
                            tape, evaluate(t, z)[1], tape_index(method.stages - 1)
                        ),
                        tape,
                    )
            begins = jnp.where(
                n % self.segment == 0, n // self.segment, -(-self.max_steps // self.segment)
            )
            memory = Memory(
                write(memory.times, t, n + 1),
                write(memory.states, loop.y, begins),
                tape,
                tape_invalid,
            )
        return Loop(
            y=z,
            slope=choose(keep, slope, loop.slope),
            ks=ks,
            start=start,
            t=t,
            t_next=t_next,
            control=control,
            failure=failure,
            steps=loop.steps + going,
            accepted=loop.accepted + keep,
            rows=n + keep.any(),
            memory=memory,
        )

    def _cut(self, t: Any, t_next: Any, keep: Any) -> Any:
        """Diffrax's rule: a step that ends within 100 ulp of t1, or past it, ends on t1.

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
        t, start, _ = loop.start
        inside = self.inside(loop.y, start, loop.ks, t, loop.t)
        return jax.tree.map(
            lambda leaf: jnp.where(spread(loop.t >= self.t1, leaf), leaf, jnp.inf), inside
        )

    def inside(self, y: Any, start: Any, ks: Any, t: Any, t_next: Any) -> Any:
        """The last step's polynomial at t1."""
        interpolation = self.interpolation
        assert interpolation is not None

        def evaluate(y: Any, start: Any, ks: Any, t: Any, t_next: Any) -> Any:
            return interpolation(t0=t, t1=t_next, y0=start, y1=y, k=ks).evaluate(self.t1)

        return (jax.vmap(evaluate, (0, 0, 1, 0, 0)) if self.batch_shape else evaluate)(
            y, start, ks, t, t_next
        )
