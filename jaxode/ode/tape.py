"""The derivative of an explicit solve's steps: backward over them, stage by stage.

With Y_i the states of a step's stages and a bar for the cotangent (Hager 2000, "Runge-Kutta methods
in optimal control and the transformed adjoint system", section 2; step sizes are constants, as in
Diffrax and torchdiffeq):

    k̄_i = b_i ȳ_1 + Σ_j>i a_ji Ȳ_j,   Ȳ_i = (∂f/∂z)ᵀ h k̄_i,   ȳ_0 = ȳ_1 + Σ_i Ȳ_i

The products with (∂f/∂z)ᵀ need the evaluations' residuals. Accepted steps are counted in segments:
the tape holds the residuals of one, and the solve leaves it holding those of the last. Earlier
segments are run again from their first states, without the rejected steps; so every step is run
twice at most. Under replay a segment is one step, and the solve leaves no tape. Where images take
steps of their own, rows (`jaxode.ode.explicit_solve`) stand for accepted steps: h = 0 for an image
without a step in a row, so that its cotangent passes and reaches no parameter.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxode.ode.explicit_solve import ExplicitSolve, Loop
from jaxode.ode.residuals import Inputs
from jaxode.ode.stepping import allocate, combine, combine_row, read, spread, write, zeros

Cotangents = tuple[Any, list[Any]]
"""Of the state between two steps, of the real inputs."""


def solve(explicit: ExplicitSolve, z0: Any, inputs: Inputs) -> tuple[Any, Any, Any, Any]:
    """State at t1, steps tried, steps accepted, failure code; with a derivative in reverse mode."""

    def outcome(loop: Loop) -> tuple[Any, Any, Any, Any]:
        return explicit.answer(loop), loop.steps, loop.accepted, loop.failure

    @jax.custom_vjp
    def run(z0: Any, inputs: Inputs) -> Any:
        return outcome(explicit.solve(z0, inputs, remember=False))

    def forward(z0: Any, inputs: Inputs) -> Any:
        loop = explicit.solve(z0, inputs, remember=True)
        last = loop.start and (loop.start[0], loop.t, loop.start[2])
        return outcome(loop), (loop.memory, loop.rows, last, loop.failure, z0, inputs)

    def backward(saved: Any, cotangents: Any) -> Any:
        to_z0, to_real = _Sweep(explicit, *saved).back(cotangents[0])
        return to_z0, Inputs(to_real, None)  # type: ignore[arg-type]

    run.defvjp(forward, backward)
    return run(z0, inputs)


class _Sweep:
    """The way back from t1 to t0."""

    def __init__(
        self,
        explicit: ExplicitSolve,
        memory: Any,
        rows: Any,
        last: Any,
        failure: Any,
        z0: Any,
        inputs: Inputs,
    ) -> None:
        """Backward over the steps on the tape.

        `last`: a last step's ends, and its index.
        """
        self.explicit, self.memory, self.rows, self.last, self.inputs = (
            explicit,
            memory,
            rows,
            last,
            inputs,
        )
        self.failed = (failure != 0).any()
        self.blank = jax.tree.map(jnp.zeros_like, z0)
        self.stages = zeros(explicit.method.stages, z0)
        start = jnp.broadcast_to(explicit.t0, explicit.batch_shape)
        self.shared_residuals = explicit.linearized.shared_residuals(
            explicit.clock(start, z0), self.blank, inputs
        )
        self.to_start = self.to_ks = None

    def back(self, cotangent: Any) -> Cotangents:
        """Cotangents of z0 and of the real inputs, from that of the answer."""
        explicit, tape = self.explicit, self.memory.tape
        if explicit.interpolation:
            t, t_next, _ = self.last
            _, pull = jax.vjp(
                lambda y, start, ks: explicit.inside(y, start, ks, t, t_next),
                self.blank,
                self.blank,
                self.stages,
            )
            cotangent, self.to_start, self.to_ks = pull(cotangent)
        last = (self.rows - 1) // explicit.segment
        # A failed solve has tried one more step over the ring's oldest place.
        tape_invalid = self.failed | self.memory.tape_invalid
        intact = jnp.where(tape_invalid, last + 1, last) if explicit.taping else last + 1

        def segment(m: Any, carry: Any) -> Any:
            cotangents, tape = carry
            first = (last - m) * explicit.segment
            end = jnp.minimum(first + explicit.segment, self.rows)
            tape = self._again(first, jnp.where(last - m == intact, first, end), tape)
            cotangents = lax.fori_loop(
                0,
                end - first,
                lambda k, cotangents: self._step(end - 1 - k, cotangents, tape),
                cotangents,
            )
            return cotangents, tape

        tape = allocate(explicit.slots, explicit.linearized.saved) if tape is None else tape
        cotangents = cotangent, jax.tree.map(jnp.zeros_like, self.inputs.real)
        return lax.fori_loop(0, last + 1, segment, (cotangents, tape))[0]

    def _again(self, first: Any, end: Any, tape: Any) -> Any:
        """The tape after running rows first, …, end - 1 once more."""
        explicit, times = self.explicit, self.memory.times
        method = explicit.method

        def step(n: Any, carry: Any) -> Any:
            y, ks, tape = carry
            ks, _, tape = method.run(
                lambda t, y: explicit.linearized.forward(explicit.clock(t, y), y, self.inputs),
                y,
                times[n],
                times[n + 1],
                (0, self._count(n)),
                lambda i: explicit.tape_index(n, i),
                (ks, None, tape),
            )
            return combine(y, method.b, ks), ks, tape

        start = read(self.memory.states, first // explicit.segment)
        return lax.fori_loop(first, end, step, (start, self.stages, tape))[2]

    def _count(self, n: Any) -> Any:
        """Which stages of step n count.

        An FSAL method's last is the next step's first, but for an interpolated end.
        """
        method = self.explicit.method
        if not (method.fsal and self.explicit.interpolation):
            return method.evaluations
        return jnp.where((n == self.last[2]).any(), method.stages, method.evaluations)

    def _step(self, n: Any, cotangents: Cotangents, tape: Any) -> Cotangents:
        """Cotangents before row n, from those after it."""
        explicit, method, linearized = self.explicit, self.explicit.method, self.explicit.linearized
        y, real = cotangents
        h = self.memory.times[n + 1] - self.memory.times[n]
        count = self._count(n)

        def stage(m: Any, carry: Any) -> Any:
            stages, real = carry
            i = count - 1 - m
            to_k = jax.tree.map(lambda leaf: jnp.asarray(method.b)[i] * leaf, y)
            to_k = self._add_last(n, to_k, None if self.to_ks is None else read(self.to_ks, i))
            to_k = combine_row(to_k, method.a.T, i, stages)
            to_y, to_real = linearized.vjp(
                read(tape, explicit.tape_index(n, i)),
                self.shared_residuals,
                jax.tree.map(lambda leaf: spread(h, leaf) * leaf, to_k),
            )
            return write(stages, to_y, i), jax.tree.map(jnp.add, real, to_real)

        stages, real = lax.fori_loop(0, count, stage, (self.stages, real))
        y = combine(y, jnp.ones_like(method.b), stages)
        return self._add_last(n, y, self.to_start), real

    def _add_last(self, n: Any, value: Any, extra: Any) -> Any:
        """Value, and for a last step what reaches it through the answer's polynomial."""
        if extra is None:
            return value
        return jax.tree.map(
            lambda v, e: v + jnp.where(spread(n == self.last[2], e), e, 0), value, extra
        )
