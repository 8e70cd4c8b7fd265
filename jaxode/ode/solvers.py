"""From a solver's name to the Diffrax solver, and what one of its steps costs."""

from __future__ import annotations

from typing import get_args

import diffrax
import lineax
import optimistix

from jaxode.checks import require_choice
from jaxode.config import SolverName
from jaxode.ode.tableaus import ClassicalRungeKutta, Heun3, ThreeEighthsRule

_SOLVERS = {
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
}

_LINEAR_RTOL, _LINEAR_ATOL = 1e-3, 0.1
"""Of the linear solves inside Newton's iteration: relative to their right-hand side, and in units
of its atol.

Newton corrects what the first leaves. The second keeps GMRES from chasing a right-hand side that is
rounding noise, where it breaks down and the step would be rejected.
"""


def make_solver(name: SolverName, rtol: float, atol: float) -> diffrax.AbstractSolver:
    """The Diffrax solver of that name.

    `kvaerno3` is an ESDIRK method (Kværnø 2004). Its Newton systems have one row an element of the
    state, so they are solved without a matrix, by GMRES; `rtol` and `atol` bound the Newton
    iteration.

    Raises ConfigError for an unknown name.
    """
    require_choice("solver", name, get_args(SolverName))
    if name == "kvaerno3":
        linear = lineax.GMRES(rtol=_LINEAR_RTOL, atol=_LINEAR_ATOL * atol)
        return diffrax.Kvaerno3(
            root_finder=optimistix.Newton(rtol=rtol, atol=atol, linear_solver=linear)
        )
    return _SOLVERS[name]()


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
    if tableau.fsal:
        return (2 if adaptive else 1), tableau.num_stages - 1
    return (2 if adaptive else 0), tableau.num_stages
