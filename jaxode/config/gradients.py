"""What is true of each gradient mode: read by settings and the command line, without JAX.

How a mode differentiates a solve stands in `jaxode.ode.gradients`, which adds the facts of a
registered one here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

GradientChoice = str | Callable[..., Any]
"""A registered gradient mode's name; or a function (config, max_steps) → Diffrax adjoint."""


@dataclass(frozen=True)
class GradientFacts:
    """What a gradient mode is called and what holds of it.

    Args:
      name: of the command line and of records.
      title: of tables and help texts.
      exact: whether it is the derivative of the steps taken.
      needs_explicit: whether only explicit solvers have it.
      backward_solve: whether it solves an ODE backward, with tolerances and a norm of its own.
      taped: whether it stores the evaluations of accepted steps on a tape, `tape_steps` at a time.
      in_shards: whether it works on one device's part of a batch (parallel pmap).
    """

    name: str
    title: str
    exact: bool = True
    needs_explicit: bool = False
    backward_solve: bool = False
    taped: bool = False
    in_shards: bool = True


GRADIENT_FACTS: dict[str, GradientFacts] = {
    facts.name: facts
    for facts in (
        GradientFacts("tape", "exact, least time", needs_explicit=True, taped=True),
        GradientFacts("replay", "exact, every step is run again", needs_explicit=True),
        GradientFacts("checkpointed", "Diffrax's recursive checkpoints", in_shards=False),
        GradientFacts("direct", "Diffrax's plain differentiation"),
        GradientFacts("backsolve", "the adjoint ODE", exact=False, backward_solve=True),
    )
}
"""The registered gradient modes by their names."""


def gradient_name(gradient: GradientChoice) -> str:
    """A registered name as it is; of a function, its module and name."""
    if isinstance(gradient, str):
        return gradient
    return f"{gradient.__module__}.{getattr(gradient, '__qualname__', type(gradient).__qualname__)}"


def gradient_facts(gradient: GradientChoice) -> GradientFacts:
    """The facts of a registered mode; of a user's own, its attribute `facts` if it has one.

    Raises:
      KeyError: a name that is not registered.
    """
    if isinstance(gradient, str):
        return GRADIENT_FACTS[gradient]
    name = gradient_name(gradient)
    return getattr(gradient, "facts", GradientFacts(name, name.rpartition(".")[2]))


def modes_where(**wanted: bool) -> tuple[str, ...]:
    """Names of the registered modes whose facts have these values."""
    return tuple(
        name
        for name, facts in GRADIENT_FACTS.items()
        if all(getattr(facts, fact) is value for fact, value in wanted.items())
    )


def default_gradient(implicit: bool) -> str:
    """The quickest exact gradient mode of explicit or of implicit solvers."""
    return "checkpointed" if implicit else "tape"
