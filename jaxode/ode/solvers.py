"""From a solver's name to the Diffrax solver, and what one of its steps costs."""

from __future__ import annotations

from collections.abc import Callable

import diffrax
import lineax
import optimistix

from jaxode.checks import ConfigError, require, require_choice
from jaxode.config import SOLVER_FACTS, SolverChoice, SolverFacts
from jaxode.config.solvers import own_solver
from jaxode.ode.tableaus import ClassicalRungeKutta, Heun3, ThreeEighthsRule
from jaxode.ode.torchdiffeq_solvers import TORCHDIFFEQ_SOLVERS, AdaptiveHeun, Fehlberg2

_LINEAR_RTOL, _LINEAR_ATOL = 1e-3, 0.1
"""Of the linear solves inside Newton's iteration: relative to their right-hand side, and in units
of its atol.

Newton corrects what the first leaves. The second keeps GMRES from chasing a right-hand side that is
rounding noise, where it breaks down and the step would be rejected.
"""


Maker = Callable[[float, float], diffrax.AbstractSolver]
"""(rtol, atol) → solver."""

SOLVERS: dict[str, Maker] = {}
"""How the registered solvers are made, by their names."""


def register_solver(facts: SolverFacts, make: type[diffrax.AbstractSolver] | Maker) -> None:
    """Give a solver a name, by which settings and the command line know it from then on.

    Args:
      facts: its `name` must be new.
      make: a Diffrax solver class, or a function (rtol, atol) → Diffrax solver.

    Raises:
      ConfigError: the name is taken.

    Example:
      >>> import diffrax
      >>> from jaxode.config import SOLVER_FACTS, SolveConfig, SolverFacts
      >>> from jaxode.ode.solvers import register_solver, unregister_solver
      >>> register_solver(SolverFacts("ralston", "Ralston", 2), diffrax.Ralston)
      >>> SolveConfig("ralston").solver_facts.order
      2
      >>> unregister_solver("ralston")
    """
    if facts.name in SOLVERS:
        raise ConfigError(f"solver {facts.name!r} is registered already")
    known = SOLVER_FACTS.setdefault(facts.name, facts)
    require(known is facts, "facts", facts, f"those of {facts.name} in jaxode.config")
    SOLVERS[facts.name] = lambda rtol, atol: own_solver(make, rtol, atol)


def unregister_solver(name: str) -> None:
    """Forget a registered solver. Raises KeyError if there is none of that name."""
    del SOLVERS[name]
    del SOLVER_FACTS[name]


def make_kvaerno3(rtol: float, atol: float) -> diffrax.AbstractSolver:
    """Kværnø's ESDIRK method of order 3 (Kværnø 2004).

    Its Newton systems have one row an element of the state, so they are solved without a matrix, by
    GMRES; `rtol` and `atol` bound the Newton iteration.
    """
    linear = lineax.GMRES(rtol=_LINEAR_RTOL, atol=_LINEAR_ATOL * atol)
    return diffrax.Kvaerno3(
        root_finder=optimistix.Newton(rtol=rtol, atol=atol, linear_solver=linear)
    )


for _name, _make in {
    "euler": diffrax.Euler,
    "midpoint": diffrax.Midpoint,
    "heun": diffrax.Heun,
    "heun3": Heun3,
    "rk4": ThreeEighthsRule,
    "rk4_classic": ClassicalRungeKutta,
    "bosh3": diffrax.Bosh3,
    "dopri5": diffrax.Dopri5,
    "tsit5": diffrax.Tsit5,
    "dopri8": diffrax.Dopri8,
    "kvaerno3": make_kvaerno3,
    "adaptive_heun": AdaptiveHeun,
    "fehlberg2": Fehlberg2,
}.items():
    register_solver(SOLVER_FACTS[_name], _make)


def make_solver(
    solver: SolverChoice, rtol: float, atol: float, *, torchdiffeqs: bool = False
) -> diffrax.AbstractSolver:
    """The Diffrax solver of a name, or of a class or function of a user's own.

    Args:
      solver: a registered name, or a class or function that makes a Diffrax solver.
      rtol: relative tolerance of a step.
      atol: absolute tolerance of a step.
      torchdiffeqs: whether an adaptive method has torchdiffeq's interpolant.

    Raises:
      ConfigError: an unknown name, or what makes no Diffrax solver.
    """
    if isinstance(solver, str):
        require_choice("solver", solver, SOLVERS)
        if torchdiffeqs and solver in TORCHDIFFEQ_SOLVERS:
            return TORCHDIFFEQ_SOLVERS[solver]()
        return SOLVERS[solver](rtol, atol)
    made = own_solver(solver, rtol, atol)
    if not isinstance(made, diffrax.AbstractSolver):
        raise ConfigError(f"solver must make a Diffrax solver, got {made!r}")
    tableau = getattr(made, "tableau", None)
    if not isinstance(made, diffrax.Euler) and not isinstance(tableau, diffrax.ButcherTableau):
        raise ConfigError(f"solver must make a Runge-Kutta method with a tableau, got {made!r}")
    return made


def evaluations(solver: diffrax.AbstractSolver, adaptive: bool) -> tuple[int, int]:
    """Vector field evaluations (to start a solve, in every step tried), as the method counts them.

    A method whose last stage is the next step's first (FSAL) evaluates f(t0, z0) once and then one
    stage less a step. Choosing the first step size (Hairer, Nørsett and Wanner 1993, II.4) takes
    f(t0, z0) and one evaluation more. For an implicit method this counts stages: the evaluations
    inside Newton's iteration vary and are left out.
    """
    if isinstance(solver, diffrax.Euler):
        return 0, 1
    assert isinstance(solver, diffrax.AbstractRungeKutta)
    tableau = solver.tableau
    assert isinstance(tableau, diffrax.ButcherTableau)
    if tableau.fsal or getattr(solver, "reuses_last_stage", False):
        return (2 if adaptive else 1), tableau.num_stages - 1
    return (2 if adaptive else 0), tableau.num_stages
