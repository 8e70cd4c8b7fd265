"""States at any number of times, interpolated within the steps of an explicit solve.

As in torchdiffeq, a solve steps past its last output time unless it is told to end there. An
output depends on the two ends of the step that it lies in and on the step's k_i, linearly
(`jaxode.ode.polynomials`); on the way back each of them receives its share of the cotangent.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from jaxode.ode.buffers import Buffers, Values, select, spread, zeros
from jaxode.ode.end_rules import Outputs, Share, TriedStep, clip
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
            lambda z: jnp.where(_spread(at_start, z), z, jnp.full_like(z, jnp.inf)), z0
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
            following = _at(times, jnp.minimum(outputs.next, count - 1))
            return step.accept & (outputs.next < count) & (following <= step.t_next)

        def write(outputs: Outputs) -> Outputs:
            now, place = pending(outputs), jnp.minimum(outputs.next, count - 1)
            x = _fraction(_at(times, place), step, now)
            state = combine_step(self.polynomial.weights(x), step.y0, step.y1, step.ks)
            slopes = outputs.slopes
            if slopes is not None:
                rate = combine_step(self.polynomial.slope_weights(x), step.y0, step.y1, step.ks)
                h = step.t_next - step.t
                rate = jax.tree.map(lambda leaf: leaf / spread(jnp.where(now, h, 1), leaf), rate)
                slopes = _write(slopes, rate, place, now)
            steps = outputs.steps
            if steps is not None:
                index = jnp.broadcast_to(step.index, now.shape)
                steps = _write(steps, index, place, now)
            return Outputs(
                _write(outputs.states, state, place, now),
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
        return OutputCotangents(self, cotangent, like, outputs, times, span)

    def _all_at_once(self, outputs: Outputs, step: TriedStep, times: Times) -> Outputs:
        reached = step.accept & (times > step.t) & (times <= step.t_next)

        def one(time: Times, reached: Flags) -> State:
            x = _fraction(time, step, reached)
            return combine_step(self.polynomial.weights(x), step.y0, step.y1, step.ks)

        states = jax.tree.map(
            lambda new, old: jnp.where(_spread(reached, old[0]), new, old),
            jax.vmap(one)(times, reached),
            outputs.states,
        )
        following = outputs.next + reached.sum(0).astype(jnp.int32)
        return Outputs(states, following, None, None)


class OutputCotangents:
    """Cotangents of what outputs at many times are computed from.

    Args:
      rule: the end rule.
      cotangent: of the outputs [T, ...].
      like: a state, for its shapes.
      outputs: those of the solve.
      times: start of every recorded step, and the end of the last.
      span: of the solve.
    """

    def __init__(
        self,
        rule: DenseOutput,
        cotangent: Answer,
        like: State,
        outputs: Outputs,
        times: Times,
        span: Span,
    ) -> None:
        assert outputs.steps is not None
        self.rule, self.cotangent, self.steps, self.times = rule, cotangent, outputs.steps, times
        self.like, self.outputs = like, span.outputs_of(rule.batch_shape)
        self.to_last = like
        self.last: Counts | None = jnp.full(rule.batch_shape, self.outputs.shape[0] - 1, jnp.int32)
        self.rates = None
        if outputs.slopes is not None:
            self.rates = _products(cotangent, outputs.slopes, self.outputs.ndim)

    def share(self, step: Index, following: Counts | None) -> Share:
        """What the outputs within a recorded step add, from the last of them to the first."""
        assert following is not None
        start, end = self.times[step], self.times[step + 1]
        method = self.rule.method
        none = jnp.zeros(self.rule.batch_shape, self.outputs.dtype)

        def here(share: Share) -> Flags:
            place = jnp.maximum(share.next, 0)
            return (share.next >= 0) & (_at(self.steps, place) == step)

        def add(share: Share) -> Share:
            now, place = here(share), jnp.maximum(share.next, 0)
            time = _at(self.outputs, place)
            x = jnp.where(now, (time - start) / jnp.where(now, end - start, 1), 0)
            weights = jnp.where(now[..., None], self.rule.polynomial.weights(x), 0)
            cotangent = _at(self.cotangent, place)

            def scaled(term: int) -> State:
                return jax.tree.map(lambda g: spread(weights[..., term], g) * g, cotangent)

            to_ks = jax.tree.map(
                lambda total, g: (
                    total
                    + jnp.stack([spread(weights[..., 2 + i], g) * g for i in range(method.stages)])
                ),
                share.to_ks,
                cotangent,
            )
            to_end_time, to_shift = share.to_end_time, share.to_shift
            if self.rates is not None:
                rate = jnp.where(now, _at(self.rates, place), 0)
                to_end_time, to_shift = to_end_time - x * rate, to_shift - rate
            return Share(
                jax.tree.map(jnp.add, share.to_start, scaled(0)),
                jax.tree.map(jnp.add, share.to_end, scaled(1)),
                to_ks,
                share.next - now.astype(jnp.int32),
                to_end_time,
                to_shift,
            )

        begin = Share(self.like, self.like, zeros(method.stages, self.like), following, none, none)
        return lax.while_loop(lambda share: here(share).any(), add, begin)

    def stages_used(self, step: Index) -> int | Index:
        """All stages of a step with an output, whose polynomial has them; else those of its own.

        An FSAL method's last stage is the next step's first.
        """
        method = self.rule.method
        if not method.fsal:
            return method.evaluations
        return jnp.where((self.steps == step).any(), method.stages, method.evaluations)

    def to_start(self, value: State) -> State:
        """The value, with the cotangents of the outputs at the start."""
        at_start = self.steps < 0
        return jax.tree.map(
            lambda v, g: v + jnp.where(_spread(at_start, v), g, 0).sum(0), value, self.cotangent
        )

    def to_outputs(self) -> Float[Array, "T *samples"]:
        """Products of the outputs' cotangents and slopes."""
        assert self.rates is not None
        return self.rates


def _spread(flags: Bool[Array, "T *_"], leaf: Float[Array, "..."]) -> Bool[Array, "T ..."]:
    """Flags [T] or [T, B] that broadcast against [T, *leaf.shape]."""
    return flags.reshape(flags.shape + (1,) * (leaf.ndim + 1 - flags.ndim))


def _fraction(time: Times, step: TriedStep, now: Flags) -> Times:
    """Where in a step a time is, from 0 to 1; 0 where it is not asked for."""
    return jnp.where(now, (time - step.t) / jnp.where(now, step.t_next - step.t, 1), 0)


def _at(buffers: Buffers, place: Counts) -> Values:
    """Values [T, ...] at an index, or [T, B, ...] at an index of each sample."""
    if not place.ndim:
        return jax.tree.map(
            lambda b: lax.dynamic_index_in_dim(b, place, 0, keepdims=False), buffers
        )
    samples = jnp.arange(place.shape[0])
    return jax.tree.map(lambda b: b[place, samples], buffers)


def _write(buffers: Buffers, values: Values, place: Counts, now: Flags) -> Buffers:
    """Buffers with values at an index, or at an index of each sample, where `now` is true."""
    values = select(now, values, _at(buffers, place))
    if not place.ndim:
        return jax.tree.map(
            lambda b, v: lax.dynamic_update_index_in_dim(b, v, place, 0), buffers, values
        )
    samples = jnp.arange(place.shape[0])
    return jax.tree.map(lambda b, v: b.at[place, samples].set(v), buffers, values)


def _products(a: Buffers, b: Buffers, axes: int) -> Float[Array, "T *samples"]:
    """Sums of products over all but the first axes, over all leaves."""
    parts = [
        (x * y).sum(tuple(range(axes, x.ndim)))
        for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    ]
    return jnp.stack(parts).sum(0)
