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
from jaxode.train.state import zeros
from jaxode.types import Params


class StepRecord(NamedTuple):
    """Numbers of one step: the batch's mean loss, the gradient's norm, and the solves' costs.

    The last is of backward solves, an entry for each module that has them, if they are counted.
    """

    loss: Float[Array, ""]
    gradient_norm: Float[Array, ""]
    solves: Int[Array, ""]
    nfe: Int[Array, " blocks"]
    accepted: Int[Array, " blocks"]
    rejected: Int[Array, " blocks"]
    nfe_backward: Int[Array, " modules"] | None = None

    @classmethod
    def of(cls, counts: BatchStats, gradient_norm: Float[Array, ""]) -> StepRecord:
        """The record of a batch.

        Args:
            counts: sums over the batch.
            gradient_norm: of its mean loss.
        """
        names = ("loss", "solves", "nfe", "accepted", "rejected")
        own = {name: getattr(counts, name) for name in names}
        back = None if counts.backward is None else counts.backward.nfe
        return cls(gradient_norm=gradient_norm, nfe_backward=back, **own)


class StepLog(NamedTuple):
    """Records of the steps of an epoch, a row each; rows of steps that are not done are zero."""

    loss: Float[Array, " steps"]
    gradient_norm: Float[Array, " steps"]
    solves: Int[Array, " steps"]
    nfe: Int[Array, "steps blocks"]
    accepted: Int[Array, "steps blocks"]
    rejected: Int[Array, "steps blocks"]
    nfe_backward: Int[Array, "steps modules"] | None = None

    @classmethod
    def empty(cls, steps: int, blocks: int, dtype: DTypeLike, backward: int = 0) -> StepLog:
        """The log of an epoch that has not begun.

        Args:
            steps: of an epoch.
            blocks: ODE blocks of the model.
            dtype: of the loss.
            backward: how many modules have backward solves that are counted.
        """
        # Every field has its own buffer, for the log is donated to the compiled loop.
        return cls(
            loss=zeros(steps, dtype=dtype),
            gradient_norm=zeros(steps, dtype=dtype),
            solves=zeros(steps),
            nfe=zeros(steps, blocks),
            accepted=zeros(steps, blocks),
            rejected=zeros(steps, blocks),
            nfe_backward=zeros(steps, backward) if backward else None,
        )

    def with_row(self, row: Int[Array, ""], record: StepRecord) -> StepLog:
        """The log with the record of a step.

        Args:
            row: number of the step in the epoch, from 0.
            record: of the step.
        """

        def updated(rows: Array, value: Array) -> Array:
            return jax.lax.dynamic_update_index_in_dim(rows, value.astype(rows.dtype), row, 0)

        return StepLog(*jax.tree.map(updated, tuple(self), tuple(record)))


def norm(gradient: Params) -> Float[Array, ""]:
    """Euclidean norm of all numbers of a gradient together.

    Args:
        gradient: pytree of arrays.
    """
    return jnp.sqrt(sum(jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(gradient)))
