"""On the way back, what states at output times give to the steps that they were interpolated in."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jaxode.ode.buffers import spread, zeros
from jaxode.ode.end_rules import Outputs, Share
from jaxode.ode.output_buffers import products, spread_flags, take
from jaxode.ode.polynomials import StepPolynomial
from jaxode.ode.runge_kutta import Method
from jaxode.ode.times import Span
from jaxode.types import Answer, Counts, Flags, Index, State, Times


class OutputCotangents:
    """Cotangents of what outputs at many times are computed from.

    Args:
      method: the Runge-Kutta method.
      polynomial: the interpolant of its steps.
      batch_shape: () or (B,) with per-sample step sizes.
      cotangent: of the outputs [T, ...].
      like: a state, for its shapes.
      outputs: those of the solve.
      times: start of every recorded step, and the end of the last.
      span: of the solve.
    """

    def __init__(
        self,
        method: Method,
        polynomial: StepPolynomial,
        batch_shape: tuple,
        cotangent: Answer,
        like: State,
        outputs: Outputs,
        times: Times,
        span: Span,
    ) -> None:
        assert outputs.steps is not None
        self.method, self.polynomial, self.batch_shape = method, polynomial, batch_shape
        self.cotangent, self.steps, self.times = cotangent, outputs.steps, times
        self.like, self.outputs = like, span.outputs_of(batch_shape)
        self.to_last = like
        self.last: Counts | None = jnp.full(batch_shape, self.outputs.shape[0] - 1, jnp.int32)
        self.rates = None
        if outputs.slopes is not None:
            self.rates = products(cotangent, outputs.slopes, self.outputs.ndim)

    def share(self, step: Index, following: Counts | None) -> Share:
        """What the outputs within a recorded step add, from the last of them to the first."""
        assert following is not None
        start, end = self.times[step], self.times[step + 1]
        method = self.method
        none = jnp.zeros(self.batch_shape, self.outputs.dtype)

        def here(share: Share) -> Flags:
            place = jnp.maximum(share.next, 0)
            return (share.next >= 0) & (take(self.steps, place) == step)

        def add(share: Share) -> Share:
            now, place = here(share), jnp.maximum(share.next, 0)
            time = take(self.outputs, place)
            x = jnp.where(now, (time - start) / jnp.where(now, end - start, 1), 0)
            weights = jnp.where(now[..., None], self.polynomial.weights(x), 0)
            cotangent = take(self.cotangent, place)

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
                rate = jnp.where(now, take(self.rates, place), 0)
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
        method = self.method
        if not method.fsal:
            return method.evaluations
        return jnp.where((self.steps == step).any(), method.stages, method.evaluations)

    def to_start(self, value: State) -> State:
        """The value, with the cotangents of the outputs at the start."""
        at_start = self.steps < 0
        return jax.tree.map(
            lambda v, g: v + jnp.where(spread_flags(at_start, v), g, 0).sum(0),
            value,
            self.cotangent,
        )

    def to_outputs(self) -> Float[Array, "T *samples"]:
        """Products of the outputs' cotangents and slopes."""
        assert self.rates is not None
        return self.rates
