"""States at any number of times, interpolated within the steps of an explicit solve.

As in torchdiffeq, a solve steps past its last output time unless it is told to end there. An
output depends on the two ends of the step that it lies in and on the step's k_i, linearly
(`jaxode.ode.polynomials`); on the way back each of them receives its share of the cotangent.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

from jaxode.ode.buffers import spread, zeros
from jaxode.ode.end_rules import Outputs, TriedStep, clip
from jaxode.ode.output_buffers import spread_flags, take, write_where
from jaxode.ode.output_cotangents import OutputCotangents
from jaxode.ode.polynomials import StepPolynomial, combine_step
from jaxode.ode.runge_kutta import Method
from jaxode.ode.step_control import Decision
from jaxode.ode.stepsize import StartTime
from jaxode.ode.times import Span
from jaxode.types import Answer, Arrays, Counts, Flags, Index, State, Times


class DenseOutput:
    """The answer is the state at every output time, [T, ...].

    Args:
      method: the Runge-Kutta method.
      polynomial: the interpolant of its steps.
      batch_shape: () or (B,) with per-sample step sizes.
      clips: whether the last step ends on the last output time.
      steps: number of steps of a fixed grid, after which the solve ends; None to end when the last
        output is reached.
      slopes: whether times have a gradient.
      differentiable: whether JAX differentiates the loop itself: every output is then considered in
        every step, for such a loop must not contain another of unknown length.
    """

    def __init__(
        self,
        method: Method,
        polynomial: StepPolynomial,
        batch_shape: tuple,
        *,
        clips: bool = False,
        steps: int | Index | None = None,
        slopes: bool = False,
        differentiable: bool = False,
    ) -> None:
        self.method, self.polynomial, self.batch_shape = method, polynomial, batch_shape
        self.clips, self.steps, self.slopes = clips, steps, slopes
        self.differentiable = differentiable

    def first_end(self, t_next: StartTime, span: Span) -> StartTime:
        """As the controller has chosen; no later than the end if the solve ends there."""
        return jnp.minimum(t_next, span.end) if self.clips else t_next

    def limit(self, decision: Decision, span: Span) -> Decision:
        """The decision as it is, or with a step that ends on the end."""
        return clip(decision, span.end) if self.clips else decision

    def begin(self, z0: State, span: Span, recorded: bool) -> Outputs:
        """Infinite states, but for those at the start."""
        times = span.outputs_of(self.batch_shape)
        at_start = times <= 0
        states = jax.tree.map(
            lambda z: jnp.where(spread_flags(at_start, z), z, jnp.full_like(z, jnp.inf)), z0
        )
        steps = jnp.where(at_start, -1, jnp.iinfo(jnp.int32).max).astype(jnp.int32)
        slopes = zeros(times.shape[0], z0) if recorded and self.slopes else None
        following = at_start.sum(0).astype(jnp.int32)
        return Outputs(states, following, steps if recorded else None, slopes)

    def after_step(self, outputs: Outputs | None, step: TriedStep, span: Span) -> Outputs:
        """The outputs with those that an accepted step reaches."""
        assert outputs is not None
        times = span.outputs_of(self.batch_shape)
        if self.differentiable:
            return self._all_at_once(outputs, step, times)
        count = times.shape[0]

        def pending(outputs: Outputs) -> Flags:
            following = take(times, jnp.minimum(outputs.next, count - 1))
            return step.accept & (outputs.next < count) & (following <= step.t_next)

        def write(outputs: Outputs) -> Outputs:
            now, place = pending(outputs), jnp.minimum(outputs.next, count - 1)
            x = _fraction(take(times, place), step, now)
            state = combine_step(self.polynomial.weights(x), step.y0, step.y1, step.ks)
            slopes = outputs.slopes
            if slopes is not None:
                rate = combine_step(self.polynomial.slope_weights(x), step.y0, step.y1, step.ks)
                h = step.t_next - step.t
                rate = jax.tree.map(lambda leaf: leaf / spread(jnp.where(now, h, 1), leaf), rate)
                slopes = write_where(slopes, rate, place, now)
            steps = outputs.steps
            if steps is not None:
                index = jnp.broadcast_to(step.index, now.shape)
                steps = write_where(steps, index, place, now)
            return Outputs(
                write_where(outputs.states, state, place, now),
                outputs.next + now.astype(jnp.int32),
                steps,
                slopes,
            )

        return lax.while_loop(lambda outputs: pending(outputs).any(), write, outputs)

    def finished(self, t: Times, accepted: Counts, outputs: Outputs | None) -> Flags:
        """Whether every output is reached, or every step of the grid is done."""
        del t
        assert outputs is not None
        if self.steps is not None:
            return accepted >= self.steps
        return outputs.next >= jax.tree.leaves(outputs.states)[0].shape[0]

    def answer(self, y: State, outputs: Outputs | None) -> Answer:
        """The states at the output times."""
        del y
        assert outputs is not None
        return outputs.states

    def pull_back(
        self, cotangent: Answer, like: State, outputs: Outputs | None, times: Arrays, span: Span
    ) -> OutputCotangents:
        """Cotangents of what the outputs are computed from.

        Args:
          cotangent: of the states at the output times, [T, ...].
          like: a state, for its shapes.
          outputs: those of the solve.
          times: start of every recorded step, and the end of the last.
          span: of the solve.
        """
        assert outputs is not None
        how = self.method, self.polynomial, self.batch_shape
        return OutputCotangents(*how, cotangent, like, outputs, times, span)

    def _all_at_once(self, outputs: Outputs, step: TriedStep, times: Times) -> Outputs:
        reached = step.accept & (times > step.t) & (times <= step.t_next)

        def one(time: Times, reached: Flags) -> State:
            x = _fraction(time, step, reached)
            return combine_step(self.polynomial.weights(x), step.y0, step.y1, step.ks)

        states = jax.tree.map(
            lambda new, old: jnp.where(spread_flags(reached, old[0]), new, old),
            jax.vmap(one)(times, reached),
            outputs.states,
        )
        following = outputs.next + reached.sum(0).astype(jnp.int32)
        return Outputs(states, following, None, None)


def _fraction(time: Times, step: TriedStep, now: Flags) -> Times:
    """Where in a step a time is, from 0 to 1; 0 where it is not asked for."""
    return jnp.where(now, (time - step.t) / jnp.where(now, step.t_next - step.t, 1), 0)
