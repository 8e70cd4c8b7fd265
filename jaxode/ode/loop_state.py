"""Where an explicit solve stands between two steps."""

from __future__ import annotations

from typing import Literal, NamedTuple

from jaxtyping import Array, Float

from jaxode.ode.end_rules import Outputs
from jaxode.ode.recorder import Memory
from jaxode.ode.stepsize import ControllerState
from jaxode.types import Counts, Flags, Index, StageSlopes, State, Times

LoopKind = Literal["lax", "bounded", "checkpointed"]
"""A plain loop; or one that JAX differentiates, keeping every step or by recursive checkpoints."""


class FirstStep(NamedTuple):
    """What the derivative through the first step's size needs."""

    ks: StageSlopes
    accepted: Flags
    """Whether the first step tried was accepted; the size of no later one has a derivative."""


class Loop(NamedTuple):
    """Where a solve stands."""

    y: State
    slope: State | None
    """f(t, y) of an FSAL method, else None."""
    outputs: Outputs | None
    """None where the answer is the last state."""
    first: FirstStep | None
    t: Times
    t_next: Times
    """End of the step to try."""
    controller: ControllerState
    """State of the step-size controller."""
    failure: Counts
    """0, or a code for `jaxode.ode.explain_failure`."""
    tried: Counts
    """Number of steps, accepted and rejected."""
    accepted: Counts
    extra: Counts
    """Number of evaluations beside those of steps and the start."""
    recorded: Index
    """Number of steps that some sample accepted: `accepted`, where all share one step size."""
    memory: Memory | None
    """None where no gradient is computed."""
    errors: Float[Array, "..."] | None = None
    """Sum of |h| times the measured error estimate of the accepted steps; None: not asked for."""


class Evaluations(NamedTuple):
    """At which of a step's stages the field is evaluated beside the time, for it may jump there."""

    after_start: bool = False
    before_end: bool = False


NOT_BESIDE = Evaluations()
