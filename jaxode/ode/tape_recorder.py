"""Recorder of the gradient mode `tape`: residuals of the last segment's evaluations are stored.

Steps of earlier segments are run again on the way back, from the state at the start of each; so
every step is run twice at most, and memory is bounded by the length of the tape.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool

from jaxode.ode.buffers import write
from jaxode.ode.recorder import Checkpoints, Memory, Step, TapeLayout
from jaxode.ode.residuals import Inputs, LinearizedField, Residuals
from jaxode.ode.runge_kutta import Method
from jaxode.types import Index, IntScalar, State, Time, Times


class TapeRecorder:
    """Stores the residuals of the latest segment's evaluations, and a state a segment.

    Args:
      linearized: the field.
      method: the Runge-Kutta method.
      segment: number of steps that the tape has room for.
      max_steps: most steps of a solve, accepted and rejected.
      repair: what a step that only some samples accept does to the tape.
      with_errors: whether the sum of the steps' error estimates has a derivative.
    """

    def __init__(
        self,
        linearized: LinearizedField,
        method: Method,
        segment: int,
        max_steps: int,
        repair: Repair,
        with_errors: bool = False,
    ) -> None:
        self.segment = min(segment, max_steps)
        self.linearized, self.repair = linearized, repair
        self.checkpoints = Checkpoints(self.segment, max_steps, with_errors)
        self.layout = TapeLayout(method, self.segment, linearized)

    def evaluate(self, t: Time, y: State, inputs: Inputs) -> tuple[State, Residuals]:
        """dz/dt, and the residuals of this evaluation."""
        return self.linearized.forward(t, y, inputs)

    def begin(self, t0: Times, z0: State, first: Residuals | None) -> Memory:
        """Memory before the first step; `first`: residuals at (t0, z0) of an FSAL method."""
        tape = self.layout.allocate()
        if first is not None:
            tape = write(tape, first, 0)
        return self.checkpoints.begin(t0, z0, tape)

    def store(
        self, tape: Residuals | None, residuals: Residuals | None, step: Index, stage: IntScalar
    ) -> Residuals:
        """The tape with the residuals of a step's stage."""
        return write(tape, residuals, self.layout.index(step, stage))

    def record(
        self, memory: Memory | None, tape: Residuals | None, step: Step, inputs: Inputs
    ) -> Memory:
        """Memory with the step's residuals, its end, and the state before it if a segment starts.

        The next step overwrites residuals of a rejected one.
        """
        assert memory is not None
        memory = self.repair.after_step(self, memory._replace(tape=tape), step, inputs)
        return self.checkpoints.record(memory, step)

    def tape_for_backward(self, memory: Memory) -> Residuals:
        """The tape that the solve left."""
        assert memory.tape is not None
        return memory.tape

    def intact_segment(self, memory: Memory, last: Index, failed: Bool[Array, ""]) -> Index:
        """The last segment, unless its residuals are invalid; then `last` + 1.

        A failed solve has tried one more step, over the oldest place of the ring.
        """
        return jnp.where(failed | memory.tape_invalid, last + 1, last)


@runtime_checkable
class Repair(Protocol):
    """What a step that some samples accept and others reject does to the tape."""

    def after_step(
        self, recorder: TapeRecorder, memory: Memory, step: Step, inputs: Inputs
    ) -> Memory:
        """Memory whose tape is right for a recorded step, or marked as invalid."""
        ...


class NoRepair:
    """With one shared step size, no step is accepted by some samples only."""

    def after_step(
        self, recorder: TapeRecorder, memory: Memory, step: Step, inputs: Inputs
    ) -> Memory:
        """The memory as it is."""
        del recorder, step, inputs
        return memory


class RepairMixedSteps:
    """Of a step that some samples accept and others reject, with per-sample step sizes.

    - The rejected samples' residuals belong to a step that they did not take. It counts as one of
      size zero, so they are multiplied by zero, unless they are not finite.
    - The last stage of an FSAL method is the next step's first, and was not evaluated at the state
      in which the rejected samples remain.

    Args:
      method: the Runge-Kutta method.
    """

    def __init__(self, method: Method) -> None:
        self.method = method

    def after_step(
        self, recorder: TapeRecorder, memory: Memory, step: Step, inputs: Inputs
    ) -> Memory:
        """Mark the tape as invalid after an error that is not finite; evaluate an FSAL stage."""
        tape = memory.tape
        mixed = step.accept.any() & (step.running & ~step.accept).any()
        finite = jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(step.error)]).all()
        invalid = memory.tape_invalid | (mixed & ~finite)
        if self.method.fsal:

            def evaluate_last_stage(_: IntScalar, tape: Residuals) -> Residuals:
                _, residuals = recorder.evaluate(step.time, step.y1, inputs)
                return recorder.store(tape, residuals, step.index, self.method.stages - 1)

            # A loop of no or one pass: the tape stays in place, which a branch would copy.
            tape = lax.fori_loop(0, jnp.where(mixed, 1, 0), evaluate_last_stage, tape)
        return memory._replace(tape=tape, tape_invalid=invalid)
