"""Diffrax's gradient modes: how the derivative of a solve is found.

Our own are in `jaxode.ode.tape`.
"""

from __future__ import annotations

from collections.abc import Callable

import diffrax

from jaxode.checks import ConfigError, require
from jaxode.config import GRADIENT_FACTS, GradientFacts, SolveConfig
from jaxode.ode.backsolve_norms import pooled_norm, pooled_seminorm
from jaxode.ode.counted_backsolve import CountedLoop
from jaxode.ode.fixed_grid import FixedGrid
from jaxode.ode.solvers import evaluations, make_solver
from jaxode.ode.stepsize import Adaptive

_NORMS = {"full": pooled_norm, "seminorm": pooled_seminorm}

Adjoint = Callable[[SolveConfig, int], diffrax.AbstractAdjoint]
"""(config, max_steps) → the adjoint of a forward solve of at most `max_steps` steps."""

ADJOINTS: dict[str, Adjoint] = {}
"""The registered gradient modes that Diffrax carries out, by their names."""


def register_gradient_mode(facts: GradientFacts, adjoint: Adjoint) -> None:
    """Give a gradient mode a name, by which settings and the command line know it from then on.

    Args:
      facts: its `name` must be new.
      adjoint: (config, max_steps) → Diffrax adjoint.

    Raises:
      ConfigError: the name is taken.

    Example:
      >>> import diffrax
      >>> from jaxode.config import GradientFacts, SolveConfig
      >>> from jaxode.ode.gradients import register_gradient_mode, unregister_gradient_mode
      >>> facts = GradientFacts("few_checkpoints", "four checkpoints", in_shards=False)
      >>> def adjoint(config, max_steps):
      ...     return diffrax.RecursiveCheckpointAdjoint(checkpoints=4)
      >>> register_gradient_mode(facts, adjoint)
      >>> SolveConfig(gradient="few_checkpoints").gradient_facts.exact
      True
      >>> unregister_gradient_mode("few_checkpoints")
    """
    if facts.name in ADJOINTS:
        raise ConfigError(f"gradient mode {facts.name!r} is registered already")
    known = GRADIENT_FACTS.setdefault(facts.name, facts)
    require(known is facts, "facts", facts, f"those of {facts.name} in jaxode.config")
    ADJOINTS[facts.name] = adjoint


def unregister_gradient_mode(name: str) -> None:
    """Forget a registered gradient mode. Raises KeyError if there is none of that name."""
    del ADJOINTS[name]
    del GRADIENT_FACTS[name]


def make_adjoint(config: SolveConfig, max_steps: int) -> diffrax.AbstractAdjoint:
    """The Diffrax adjoint of `config.gradient`, for a forward solve of at most `max_steps` steps.

    Raises ConfigError if a function of a user's own makes no Diffrax adjoint.
    """
    gradient = config.gradient
    adjoint = (ADJOINTS[gradient] if isinstance(gradient, str) else gradient)(config, max_steps)
    if not isinstance(adjoint, diffrax.AbstractAdjoint):
        raise ConfigError(f"gradient must make a Diffrax adjoint, got {adjoint!r}")
    return adjoint


def backsolve(config: SolveConfig, max_steps: int) -> diffrax.AbstractAdjoint:
    """Integrate the adjoint ODE from t1 back to t0 (Chen et al. 2018, algorithm 1).

    The memory is constant in the number of steps; the gradient carries the backward solve's own
    error. That solve has the forward solve's tolerances unless told otherwise, its own norm, and
    chooses its first step anew.
    """
    rtol = config.rtol if config.backward_rtol is None else config.backward_rtol
    atol = config.atol if config.backward_atol is None else config.backward_atol
    if config.step_size is None:
        controller = Adaptive(rtol, atol, _NORMS[config.backward_norm])
    else:
        controller = FixedGrid(config.step_size)
    solver = make_solver(config.solver, rtol, atol)
    options = {"solver": solver, "stepsize_controller": controller, "dt0": None}
    inner = diffrax.BacksolveAdjoint(**options, max_steps=max_steps)
    loop = CountedLoop(inner, *evaluations(solver, config.adaptive))
    return diffrax.BacksolveAdjoint(**options, max_steps=max_steps, adjoint=loop)


def checkpointed(config: SolveConfig, max_steps: int) -> diffrax.AbstractAdjoint:
    """Differentiate the steps taken; recursive checkpoints, so steps are run again."""
    return diffrax.RecursiveCheckpointAdjoint()


def direct(config: SolveConfig, max_steps: int) -> diffrax.AbstractAdjoint:
    """Differentiate the steps taken, keeping each one; memory grows with `max_steps`."""
    return diffrax.DirectAdjoint()


for _adjoint in (backsolve, checkpointed, direct):
    register_gradient_mode(GRADIENT_FACTS[_adjoint.__name__], _adjoint)
