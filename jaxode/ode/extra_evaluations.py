"""Evaluations of the field beside those of a step: at its end, and behind a jump of the field."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxode.ode.buffers import select, spread
from jaxode.ode.end_rules import EndRule, Outputs, TriedStep
from jaxode.ode.loop_state import Loop
from jaxode.ode.times import Span
from jaxode.types import Counts, Flags, State, Times

FieldOfTime = Callable[[Times, State], State]
"""(time since the start, state) → slope."""


def outputs_with_slope(
    end: EndRule, field: FieldOfTime, loop: Loop, step: TriedStep, span: Span
) -> tuple[Outputs, Counts]:
    """The outputs of an interpolant that needs the field at the step's end, and the evaluations.

    One is counted for each output, as in torchdiffeq.
    """
    slope = field(step.t_next, step.y1)
    h = step.t_next - step.t
    ks = jax.tree.map(lambda k, f: jnp.stack([k[0], spread(h, f) * f]), step.ks, slope)
    outputs = end.after_step(loop.outputs, step._replace(ks=ks), span)
    assert outputs is not None
    assert loop.outputs is not None
    return outputs, loop.extra + outputs.next - loop.outputs.next


def slope_behind_jump(
    behind: FieldOfTime,
    jumps: Times,
    s: Times,
    y: State,
    slope: State | None,
    accept: Flags,
    extra: Counts,
) -> tuple[State | None, Counts]:
    """The slope behind a jump of the field, where an accepted step has ended on one.

    Args:
      behind: the field, at times just after those given.
      jumps: times of the jumps.
      s: where the step ended.
      y: the state there.
      slope: before the jump; None for a method that keeps none.
      accept: whether the step was accepted.
      extra: evaluations so far, beside those of steps.
    """
    if slope is None:
        return slope, extra
    on_jump = accept & (s[..., None] == jnp.asarray(jumps)).any(-1)
    return select(on_jump, behind(s, y), slope), extra + on_jump
