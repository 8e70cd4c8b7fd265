"""The derivative through the size of a solve's first step, as torchdiffeq has it.

torchdiffeq chooses the first step's size h_1 by Hairer's rule, which is differentiated like all
else; later sizes are computed without a gradient. So h_1 acts on

- the k_i = h_1 f_i of the first step, and the times at which its f_i are evaluated;
- the times of all later evaluations, which it shifts;
- where in their steps the outputs lie.

Its cotangent is the sum of these, and is pulled back through Hairer's rule to z0, the inputs and
t0. A first step that is rejected is followed by one whose size has no derivative.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxode.ode.buffers import read
from jaxode.ode.residuals import Inputs
from jaxode.types import Index, IntScalar, State, Times

if TYPE_CHECKING:
    from jaxode.ode.end_rules import Share
    from jaxode.ode.explicit_solve import ExplicitSolve
    from jaxode.ode.loop_state import FirstStep
    from jaxode.ode.tape import Cotangents
    from jaxode.ode.times import Span

RealCotangents = list[Float[Array, "..."]]


class NoFirstStep:
    """The first step's size is a constant."""

    def zero(self) -> None:
        """None."""

    def add_stage(self, total: Any, stage: IntScalar, to_k: State, to_real: RealCotangents) -> None:
        """None."""
        del total, stage, to_k, to_real

    def add_step(
        self,
        step: Index,
        after: Cotangents,
        real: RealCotangents,
        own: None,
        share: Share | None,
    ) -> None:
        """None."""
        del step, after, real, own, share

    def pull_back(
        self, total: None, z0: State, inputs: Inputs, to_z0: State, to_real: RealCotangents
    ) -> tuple[State, RealCotangents]:
        """The cotangents as they are."""
        del total, z0, inputs
        return to_z0, to_real


class FirstStepCotangent:
    """The cotangent of h_1, collected on the way back.

    Args:
      explicit: the solve; the last real input of its field is a shift of the time.
      first: k_i of the first step, and whether it was accepted.
      size: of the first recorded step.
      span: of the solve.
    """

    def __init__(self, explicit: ExplicitSolve, first: FirstStep, size: Times, span: Span) -> None:
        self.explicit, self.first, self.span = explicit, first, span
        self.batch_shape = explicit.control.batch_shape
        self.size = jnp.where(first.accepted, size, 1)

    def zero(self) -> Times:
        """A cotangent of zero, for each sample."""
        return jnp.zeros_like(self.explicit.start())

    def add_stage(
        self, total: Any, stage: IntScalar, to_k: State, to_real: RealCotangents
    ) -> Times:
        """With what a stage of the first step adds: ⟨k̄_i, f_i⟩ h_1 and c_i times that of its time.

        The first is divided by h_1 in `add_step`.
        """
        axes = len(self.batch_shape)
        product = sum(
            (a * b).sum(tuple(range(axes, a.ndim)))
            for a, b in zip(
                jax.tree.leaves(to_k), jax.tree.leaves(read(self.first.ks, stage)), strict=True
            )
        )
        node = jnp.asarray(self.explicit.method.c)[stage]
        return total + product + node * self.size * self._shift(to_real)

    def add_step(
        self,
        step: Index,
        after: Cotangents,
        real: RealCotangents,
        own: Times,
        share: Share | None,
    ) -> Times:
        """With what a step adds.

        Args:
          step: its number.
          after: cotangents after it.
          real: those of the real inputs before it.
          own: sum of `add_stage` over its stages.
          share: of the outputs within it.
        """
        assert after.first_size is not None
        assert share is not None
        of_first = own / self.size + share.to_end_time
        of_later = self._shift(real) - self._shift(after.real) + share.to_shift
        return after.first_size + jnp.where(step == 0, of_first, of_later)

    def pull_back(
        self, total: Times, z0: State, inputs: Inputs, to_z0: State, to_real: RealCotangents
    ) -> tuple[State, RealCotangents]:
        """The cotangents of z0 and of the real inputs, with those through Hairer's rule."""

        def size(z0: State, real: RealCotangents) -> Times:
            return self.explicit.first_size(z0, inputs._replace(real=real), self.span)

        _, pull = jax.vjp(size, z0, inputs.real)
        more_z0, more_real = pull(jnp.where(self.first.accepted, total, 0))
        return jax.tree.map(jnp.add, to_z0, more_z0), jax.tree.map(jnp.add, to_real, more_real)

    def _shift(self, real: RealCotangents) -> Times:
        """Cotangent of a shift in the time since the start."""
        return real[-1].reshape(self.batch_shape) * self.span.sign
