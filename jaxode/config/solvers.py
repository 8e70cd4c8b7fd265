"""What is true of each solver: read by settings and the command line, without JAX.

How a solver is made stands in `jaxode.ode.solvers`, which adds the facts of a registered one here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

SolverChoice = str | Callable[..., Any]
"""A registered solver's name; or a Diffrax solver class of your own, or a function (rtol, atol) →
Diffrax solver."""


@dataclass(frozen=True)
class SolverFacts:
    """What a solver is called and what it can do.

    Args:
      name: of the command line and of records.
      title: of tables, with its source.
      order: of convergence.
      implicit: whether a step solves equations, so that the field is differentiated on the way.
      adaptive: whether it has an error estimate, by which step sizes are chosen.
      torchdiffeq_fixed: whether torchdiffeq has it with fixed steps.
      torchdiffeq_adaptive: whether torchdiffeq has it with adaptive steps.
    """

    name: str
    title: str
    order: int
    implicit: bool = False
    adaptive: bool = True
    torchdiffeq_fixed: bool = False
    torchdiffeq_adaptive: bool = False


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
        SolverFacts("kvaerno3", "Kværnø 3(2), ESDIRK", 3, implicit=True),
    )
}
"""The registered solvers by their names."""


def solver_name(solver: SolverChoice) -> str:
    """A registered name as it is; of a class or function, its module and name."""
    if isinstance(solver, str):
        return solver
    return f"{solver.__module__}.{getattr(solver, '__qualname__', type(solver).__qualname__)}"


def solver_facts(solver: SolverChoice) -> SolverFacts:
    """The facts of a registered solver; of a user's own, what its Diffrax solver tells.

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
        adaptive=bool("AbstractAdaptiveSolver" in kinds and (weights is None or any(weights))),
    )


def own_solver(solver: Callable[..., Any], rtol: float, atol: float) -> Any:
    """The Diffrax solver that a class, or a function of the tolerances, makes."""
    return solver() if isinstance(solver, type) else solver(rtol, atol)


def names_where(**wanted: bool) -> tuple[str, ...]:
    """Names of the registered solvers whose facts have these values."""
    return tuple(
        name
        for name, facts in SOLVER_FACTS.items()
        if all(getattr(facts, fact) is value for fact, value in wanted.items())
    )
