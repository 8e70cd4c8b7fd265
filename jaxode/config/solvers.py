"""Facts about each solver, for settings and the command line; JAX is not imported.

`jaxode.ode.solvers` makes the solvers, and adds the facts of a newly registered one here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

Solver = TypeVar("Solver")

SolverChoice = str | Callable[..., Any]
"""A registered solver's name; or a Diffrax solver class of your own, or a function (rtol, atol) →
Diffrax solver."""


@dataclass(frozen=True)
class SolverFacts:
    """A solver's name and properties.

    Args:
      name: on the command line and in records.
      title: in tables, with its source.
      order: of convergence.
      implicit: whether a step solves equations, so that the forward solve differentiates the field.
      adaptive: whether it has an error estimate, so that step sizes can adapt.
      torchdiffeq_fixed: whether torchdiffeq has it with fixed steps.
      torchdiffeq_adaptive: whether torchdiffeq has it with adaptive steps.
      torchdiffeq_only: whether it exists under torchdiffeq's stepping alone.
      multistep: whether a step uses slopes of earlier steps.
      taped: whether the gradient modes tape and replay can go back over its steps.

    Example:
      >>> from jaxode.config import SOLVER_FACTS
      >>> SOLVER_FACTS["dopri5"].order
      5
    """

    name: str
    title: str
    order: int
    implicit: bool = False
    adaptive: bool = True
    torchdiffeq_fixed: bool = False
    torchdiffeq_adaptive: bool = False
    torchdiffeq_only: bool = False
    multistep: bool = False
    taped: bool = True


_LAST_STAGE_REUSED = {
    "torchdiffeq_adaptive": True, "torchdiffeq_only": True, "taped": False,
}  # fmt: skip
_ADAMS = {
    "adaptive": False, "torchdiffeq_fixed": True, "torchdiffeq_only": True, "multistep": True,
    "taped": False,
}  # fmt: skip

SOLVER_FACTS: dict[str, SolverFacts] = {
    facts.name: facts
    for facts in (
        SolverFacts("euler", "Euler", 1, adaptive=False, torchdiffeq_fixed=True),
        SolverFacts("midpoint", "Midpoint", 2, torchdiffeq_fixed=True),
        SolverFacts("heun", "Heun (torchdiffeq's heun2)", 2, torchdiffeq_fixed=True),
        SolverFacts("heun3", "Heun, order 3", 3, adaptive=False, torchdiffeq_fixed=True),
        SolverFacts("rk4", "Kutta's 3/8 rule", 4, adaptive=False, torchdiffeq_fixed=True),
        SolverFacts("rk4_classic", "Classical Runge-Kutta", 4, adaptive=False),
        SolverFacts("bosh3", "Bogacki-Shampine 3(2)", 3, torchdiffeq_adaptive=True),
        SolverFacts("dopri5", "Dormand-Prince 5(4)", 5, torchdiffeq_adaptive=True),
        SolverFacts("tsit5", "Tsitouras 5(4)", 5),
        SolverFacts("dopri8", "Dormand-Prince 8(7)", 8, torchdiffeq_adaptive=True),
        SolverFacts("kvaerno3", "Kværnø 3(2), ESDIRK", 3, implicit=True, taped=False),
        SolverFacts("adaptive_heun", "Heun 2(1), torchdiffeq's", 2, **_LAST_STAGE_REUSED),
        SolverFacts("fehlberg2", "Fehlberg 2(1), torchdiffeq's", 2, **_LAST_STAGE_REUSED),
        SolverFacts("explicit_adams", "Adams-Bashforth, torchdiffeq's", 4, **_ADAMS),
        SolverFacts("implicit_adams", "Adams-Bashforth-Moulton, torchdiffeq's", 4, **_ADAMS),
    )
}
"""The registered solvers by their names."""


def solver_name(solver: SolverChoice) -> str:
    """The name in records: the registered name, or a class's or function's module and name."""
    if isinstance(solver, str):
        return solver
    return f"{solver.__module__}.{getattr(solver, '__qualname__', type(solver).__qualname__)}"


def solver_facts(solver: SolverChoice) -> SolverFacts:
    """The facts of a solver.

    Args:
      solver: a registered name; or a class or function that makes a Diffrax solver, from which
        the facts are read.

    Raises:
      KeyError: a name that is not registered.
    """
    if isinstance(solver, str):
        return SOLVER_FACTS[solver]
    made, name = own_solver(solver, 1e-3, 1e-3), solver_name(solver)
    kinds = {kind.__name__ for kind in type(made).__mro__}
    weights = getattr(getattr(made, "tableau", None), "b_error", None)
    return SolverFacts(
        name,
        name.rpartition(".")[2],
        order=made.order(None),
        implicit="AbstractImplicitSolver" in kinds,
        taped="AbstractImplicitSolver" not in kinds,
        adaptive=bool("AbstractAdaptiveSolver" in kinds and (weights is None or any(weights))),
    )


def own_solver(solver: Callable[..., Solver], rtol: float, atol: float) -> Solver:
    """The Diffrax solver that a class, or a function of the tolerances, makes.

    Args:
      solver: a Diffrax solver class, called without arguments; or a function (rtol, atol) → Diffrax
        solver.
      rtol: relative tolerance of a step.
      atol: absolute tolerance of a step.
    """
    return solver() if isinstance(solver, type) else solver(rtol, atol)


def names_where(**values: bool) -> tuple[str, ...]:
    """Names of the registered solvers whose facts have these values.

    Args:
      **values: fields of `SolverFacts`.

    Example:
      >>> from jaxode.config import names_where
      >>> names_where(implicit=True)
      ('kvaerno3',)
    """
    return tuple(
        name
        for name, facts in SOLVER_FACTS.items()
        if all(getattr(facts, fact) is value for fact, value in values.items())
    )
