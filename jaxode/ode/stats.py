"""What a solve cost and how it ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxode.ode.failures import SolveError, explain_failure
from jaxode.types import Answer, Counts


class Outcome(NamedTuple):
    """What a solve returns, before its evaluations are counted."""

    z1: Answer
    """State at t1, or states at the output times [T, ...]."""
    tried: Counts
    """Number of steps, accepted and rejected."""
    accepted: Counts
    failure: Counts
    """0, or a code for `explain_failure`."""
    extra: Counts | int = 0
    """Number of evaluations beside those of steps and the start."""
    errors: Float[Array, "..."] | None = None
    """Sum of |h| times the measured error estimate over the accepted steps, where it is asked for.
    """


class Stats(NamedTuple):
    """What a solve cost and how it ended, as int32 scalars.

    In a chain of blocks each is an array with one element for each ODE block. With per-sample step
    sizes there is one more axis, of samples: [B], or [blocks, B].

    Args:
      nfe: vector field evaluations of the forward solve, as the method counts them
        (`jaxode.ode.solvers.evaluations`).
      accepted: number of accepted steps.
      rejected: number of rejected steps.
      failure: 0 if the solve succeeded, else a code for `explain_failure`.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxode.ode import Stats
      >>> stats = Stats.chain([Stats(*jnp.array([26, 4, 0, 0])), Stats(*jnp.array([32, 4, 1, 0]))])
      >>> stats.check().nfe.tolist()
      [26, 32]
    """

    nfe: Int[Array, "*blocks"]
    accepted: Int[Array, "*blocks"]
    rejected: Int[Array, "*blocks"]
    failure: Int[Array, "*blocks"]

    @classmethod
    def chain(cls, blocks: Sequence[Stats]) -> Stats:
        """Stats of a chain of blocks, stacked.

        Args:
          blocks: Stats of each block.

        Returns:
          Stats with a new leading axis of blocks; empty arrays [0] for an empty chain.
        """
        return cls(
            *(
                jnp.stack([getattr(b, n) for b in blocks]) if blocks else jnp.zeros(0, jnp.int32)
                for n in cls._fields
            )
        )

    def check(self) -> Stats:
        """These Stats, if all solves succeeded. Not for use inside jit.

        Raises:
          SolveError: why the first failed solve failed.
        """
        for code in np.ravel(self.failure).tolist():
            if code:
                raise SolveError(explain_failure(code))
        return self
