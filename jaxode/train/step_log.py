"""What each training step of an epoch came to, written on the device by the compiled loop.

Many steps are one compiled call, so their numbers come to the host together, once a call. The log
is always written, a few numbers a step, so that a run has the same program and the same bits
whether somebody reads it or not.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from jaxode.train.microbatch import BatchStats
from jaxode.types import Params


class StepRecord(NamedTuple):
    """Numbers of one step: the batch's mean loss, the gradient's norm, and the solves' costs."""

    loss: Float[Array, ""]
    gradient_norm: Float[Array, ""]
    solves: Int[Array, ""]
    nfe: Int[Array, " blocks"]
    accepted: Int[Array, " blocks"]
    rejected: Int[Array, " blocks"]

    @classmethod
    def of(cls, counts: BatchStats, gradient_norm: Float[Array, ""]) -> StepRecord:
        """The record of a batch.

        Args:
            counts: sums over the batch.
            gradient_norm: of its mean loss.
        """
        own = {name: getattr(counts, name) for name in cls._fields if name != "gradient_norm"}
        return cls(gradient_norm=gradient_norm, **own)


class StepLog(NamedTuple):
    """Records of the steps of an epoch, a row each; rows of steps that are not done are zero."""

    loss: Float[Array, " steps"]
    gradient_norm: Float[Array, " steps"]
    solves: Int[Array, " steps"]
    nfe: Int[Array, "steps blocks"]
    accepted: Int[Array, "steps blocks"]
    rejected: Int[Array, "steps blocks"]

    @classmethod
    def empty(cls, steps: int, blocks: int, dtype: DTypeLike) -> StepLog:
        """The log of an epoch that has not begun.

        Args:
            steps: of an epoch.
            blocks: ODE blocks of the model.
            dtype: of the loss.
        """
        numbers, counts = jnp.zeros((steps,), dtype), jnp.zeros((steps, blocks), jnp.int32)
        solves = jnp.zeros((steps,), jnp.int32)
        # Every field has its own buffer, for the log is donated to the compiled loop.
        return cls(numbers, numbers + 0, solves, counts, counts + 0, counts + 0)

    def with_row(self, row: Int[Array, ""], record: StepRecord) -> StepLog:
        """The log with the record of a step.

        Args:
            row: number of the step in the epoch, from 0.
            record: of the step.
        """
        return StepLog(
            *(
                jax.lax.dynamic_update_index_in_dim(rows, value.astype(rows.dtype), row, 0)
                for rows, value in zip(self, record, strict=True)
            )
        )


def norm(gradient: Params) -> Float[Array, ""]:
    """Euclidean norm of all numbers of a gradient together.

    Args:
        gradient: pytree of arrays.
    """
    return jnp.sqrt(sum(jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(gradient)))
