"""Facts about each gradient mode, for settings and the command line; JAX is not imported.

`jaxode.ode.gradients` differentiates, and adds the facts of a newly registered mode here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

GradientChoice = str | Callable[..., Any]
"""A registered gradient mode's name; or a function (config, max_steps) → Diffrax adjoint."""


@dataclass(frozen=True)
class GradientFacts:
    """A gradient mode's name and properties.

    Args:
      name: on the command line and in records.
      title: in tables and help texts.
      exact: whether it differentiates the solver's own steps (discretise, then optimise).
      needs_explicit: whether it works for explicit solvers only.
      backward_solve: whether it solves the adjoint ODE backward in time, with separate tolerances
        and norm (Chen et al. 2018, algorithm 1).
      taped: whether it stores the evaluations of accepted steps on a tape, `tape_steps` at a time.
      torchdiffeq: whether it goes with torchdiffeq's stepping.
      in_shards: whether it works on one device's part of a batch (parallel pmap).
      step_errors: whether the error estimates of the steps, summed up, have a derivative.
      any_derivative: whether derivatives in forward mode and of higher order are left to JAX; if
        not, a solve has first derivatives in reverse mode and refuses others in one sentence.

    Example:
      >>> from jaxode.config import GRADIENT_FACTS
      >>> GRADIENT_FACTS["backsolve"].exact
      False
    """

    name: str
    title: str
    exact: bool = True
    needs_explicit: bool = False
    backward_solve: bool = False
    taped: bool = False
    torchdiffeq: bool = False
    in_shards: bool = True
    step_errors: bool = False
    any_derivative: bool = True


GRADIENT_FACTS: dict[str, GradientFacts] = {
    facts.name: facts
    for facts in (
        GradientFacts(
            "tape",
            "exact, least time",
            needs_explicit=True,
            taped=True,
            torchdiffeq=True,
            step_errors=True,
            any_derivative=False,
        ),
        GradientFacts(
            "replay",
            "exact, every step is run again",
            needs_explicit=True,
            torchdiffeq=True,
            step_errors=True,
            any_derivative=False,
        ),
        GradientFacts(
            "checkpointed",
            "recursive checkpoints",
            torchdiffeq=True,
            in_shards=False,
            step_errors=True,
            any_derivative=False,
        ),
        GradientFacts("direct", "plain differentiation", torchdiffeq=True, step_errors=True),
        GradientFacts(
            "backsolve",
            "the adjoint ODE",
            exact=False,
            backward_solve=True,
            torchdiffeq=True,
            any_derivative=False,
        ),
    )
}
"""The registered gradient modes by their names."""


def gradient_name(gradient: GradientChoice) -> str:
    """The name in records: a registered name as it is, or a function's module and name."""
    if isinstance(gradient, str):
        return gradient
    return f"{gradient.__module__}.{getattr(gradient, '__qualname__', type(gradient).__qualname__)}"


def gradient_facts(gradient: GradientChoice) -> GradientFacts:
    """The facts of a gradient mode.

    Args:
      gradient: a registered name; or a function, whose attribute `facts` is returned if it has one.

    Raises:
      KeyError: a name that is not registered.
    """
    if isinstance(gradient, str):
        return GRADIENT_FACTS[gradient]
    name = gradient_name(gradient)
    return getattr(gradient, "facts", GradientFacts(name, name.rpartition(".")[2]))


def modes_where(**values: bool) -> tuple[str, ...]:
    """Names of the registered gradient modes whose facts have these values.

    Args:
      **values: fields of `GradientFacts`.

    Example:
      >>> from jaxode.config import modes_where
      >>> modes_where(backward_solve=True)
      ('backsolve',)
    """
    return tuple(
        name
        for name, facts in GRADIENT_FACTS.items()
        if all(getattr(facts, fact) is value for fact, value in values.items())
    )


def default_gradient(taped: bool) -> str:
    """The quickest exact gradient mode of solvers that the tape can go back over, or of others."""
    return "tape" if taped else "checkpointed"
