"""Recorder of the gradient mode `replay`: every step is run again on the way back.

A solve stores the time and state before every step and no residuals, so its memory grows by one
state a step.
"""

from __future__ import annotations

from jaxtyping import Array, Bool

from jaxode.ode.recorder import Checkpoints, Memory, Step, TapeLayout
from jaxode.ode.residuals import Inputs, LinearizedField, Residuals
from jaxode.ode.runge_kutta import Method
from jaxode.types import Index, IntScalar, State, Time, Times


class ReplayRecorder:
    """Stores the state before every step: a segment is one step.

    Args:
      linearized: the field.
      method: the Runge-Kutta method.
      max_steps: most steps of a solve, accepted and rejected.
      with_errors: whether the sum of the steps' error estimates has a derivative.
    """

    segment = 1

    def __init__(
        self,
        linearized: LinearizedField,
        method: Method,
        max_steps: int,
        with_errors: bool = False,
    ) -> None:
        self.linearized = linearized
        self.checkpoints = Checkpoints(self.segment, max_steps, with_errors)
        self.layout = TapeLayout(method, self.segment, linearized)

    def evaluate(self, t: Time, y: State, inputs: Inputs) -> tuple[State, None]:
        """dz/dt, and None."""
        return self.linearized.evaluate(t, y, inputs), None

    def begin(self, t0: Times, z0: State, first: Residuals | None) -> Memory:
        """Memory before the first step."""
        del first
        return self.checkpoints.begin(t0, z0, None)

    def store(
        self, tape: Residuals | None, residuals: Residuals | None, step: Index, stage: IntScalar
    ) -> None:
        """None."""
        del tape, residuals, step, stage

    def record(
        self, memory: Memory | None, tape: Residuals | None, step: Step, inputs: Inputs
    ) -> Memory:
        """Memory with the step's end and the state before it."""
        assert memory is not None
        del tape, inputs
        return self.checkpoints.record(memory, step)

    def tape_for_backward(self, memory: Memory) -> Residuals:
        """A new tape for one step."""
        del memory
        return self.layout.allocate()

    def intact_segment(self, memory: Memory, last: Index, failed: Bool[Array, ""]) -> Index:
        """`last` + 1: every step has to be run again."""
        del memory, failed
        return last + 1
