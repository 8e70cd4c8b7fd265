"""What a solve cost, its evaluations counted as the method counts them."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxode.config import SolveConfig
from jaxode.ode.failures import NOT_FINITE
from jaxode.ode.options import StepOptions
from jaxode.ode.solvers import evaluations, make_solver
from jaxode.ode.stats import Outcome, Stats


def stats_of(
    outcome: Outcome,
    config: SolveConfig,
    options: StepOptions | None = None,
    samples_axis: int = 0,
) -> Stats:
    """Evaluations and steps, with the failure of a solve whose answer is not finite.

    Args:
      outcome: of the solve.
      config: its settings.
      options: torchdiffeq's, under its stepping.
      samples_axis: of the answer, with per-sample step sizes.
    """
    z1, tried, accepted, failure, extra, _ = outcome
    finite = jnp.ones(tried.shape, bool)
    for leaf in jax.tree.leaves(z1):
        own = [axis for axis in range(leaf.ndim) if not tried.ndim or axis != samples_axis]
        finite = finite & jnp.isfinite(leaf).all(tuple(own))
    start, per_step = 0, 0
    if not config.solver_facts.multistep:
        plain = config.stepping == "torchdiffeq"
        solver = make_solver(config.solver, config.rtol, config.atol, torchdiffeqs=plain)
        start, per_step = evaluations(solver, config.adaptive)
        if plain and config.adaptive and options is not None and options.first_step is not None:
            start -= 1
    nfe = start + per_step * tried + extra
    return Stats(
        nfe=nfe.astype(jnp.int32),
        accepted=accepted.astype(jnp.int32),
        rejected=(tried - accepted).astype(jnp.int32),
        failure=jnp.where((failure == 0) & ~finite, NOT_FINITE, failure).astype(jnp.int32),
    )
