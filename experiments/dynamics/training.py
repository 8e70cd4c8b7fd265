"""A small problem, all of it in one batch, trained in a compiled loop."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxode.config import OptimConfig
from jaxode.ode import Stats, explain_failure
from jaxode.optim import optimizer, update
from jaxode.train import Progress, RunFailed
from jaxode.types import Params

CALL = 50
"""Training steps in a compiled call, after which the progress bar moves."""

Objective = Callable[[Params], tuple[Any, tuple[Any, Stats]]]
"""Parameters → loss, what it was computed from, Stats of its solve.

Hashable, so that equal ones are compiled once.
"""


class Trained(NamedTuple):
    """Parameters after the last update, what their loss was computed from, and the record of all."""

    params: Params
    output: Any
    losses: np.ndarray
    """[steps + 1]: before each update, and after the last."""
    nfe: np.ndarray
    """[steps + 1]: evaluations of each solve."""


class _Loop(NamedTuple):
    params: Params
    state: Any
    output: Any
    losses: Any
    nfe: Any
    failure: Any


@partial(jax.jit, static_argnames=("objective", "optim"))
def _advance(objective: Objective, optim: OptimConfig, first: Any, last: Any, loop: _Loop) -> _Loop:
    steps = len(loop.losses) - 1
    transform = optimizer(optim, steps)

    def step(i: Any, loop: _Loop) -> _Loop:
        (loss, (output, stats)), gradient = jax.value_and_grad(objective, has_aux=True)(loop.params)
        updated = update(transform, gradient, loop.state, loop.params)
        params, state = jax.tree.map(
            lambda a, b: jnp.where(i < steps, a, b), updated, (loop.params, loop.state)
        )
        failure = jnp.where(loop.failure == 0, stats.failure, loop.failure)
        return _Loop(
            params,
            state,
            output,
            loop.losses.at[i].set(loss),
            loop.nfe.at[i].set(stats.nfe),
            failure,
        )

    return jax.lax.fori_loop(first, last, step, loop)


def fit(
    objective: Objective, params: Params, optim: OptimConfig, steps: int, progress: Progress, title: str,
    *, done: int = 0,
) -> Trained:  # fmt: skip
    """Train for that many steps, of which some are done: with all of them done this measures, and
    compiles nothing new.

    Raises RunFailed if a solve fails or the loss is not finite.
    """
    _, (output, _) = jax.eval_shape(objective, params)
    loop = _Loop(
        params=params,
        state=optimizer(optim, steps).init(params),
        output=jnp.zeros(output.shape, output.dtype),
        losses=jnp.zeros(steps + 1),
        nfe=jnp.zeros(steps + 1, jnp.int32),
        failure=jnp.zeros((), jnp.int32),
    )
    progress.begin(title, steps + 1, done)
    for first in range(done, steps + 1, CALL):
        last = min(first + CALL, steps + 1)
        loop = _advance(objective, optim, first, last, loop)
        if int(loop.failure):
            raise RunFailed(
                f"{title}, training steps {first} to {last - 1}:"
                f" {explain_failure(int(loop.failure))}"
            )
        loss = float(loop.losses[last - 1])
        if not np.isfinite(loss):
            raise RunFailed(
                f"{title}, training steps {first} to {last - 1}: the loss is not finite: use a"
                " lower lr"
            )
        progress.advance(last - first, loss=f"{loss:.4f}")
    progress.end()
    return Trained(
        loop.params, np.asarray(loop.output), np.asarray(loop.losses), np.asarray(loop.nfe)
    )
