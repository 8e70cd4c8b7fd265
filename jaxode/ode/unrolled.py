"""A solve with fixed steps as a chain of operations without a loop.

For programs that are exported to formats whose loops are few or slow, such as ONNX.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxode.checks import ConfigError
from jaxode.config import SolveConfig
from jaxode.ode.fixed_grid import grid_steps
from jaxode.ode.runge_kutta import Method
from jaxode.ode.solvers import make_solver
from jaxode.types import State

MOST_EVALUATIONS = 2000
"""Of the field in one unrolled solve; each is copied into the program."""


def solve_unrolled(
    field: Callable[[Float[Array, ""], State], State],
    z0: State,
    config: SolveConfig,
    t0: float,
    t1: float,
) -> State:
    """The state at t1, by the steps that `jaxode.odeint` takes with a fixed step size.

    Args:
      field: f(t, z), shaped as z.
      z0: the state at t0, a pytree of floating-point arrays of one type.
      config: an explicit solver and a step size.
      t0: start.
      t1: end, before or after t0.

    Raises:
      ConfigError: no step size, an implicit solver, or too many evaluations for a program.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxode import SolveConfig
      >>> from jaxode.ode.unrolled import solve_unrolled
      >>> config = SolveConfig("rk4", step_size=0.5)
      >>> print(f"{solve_unrolled(lambda t, z: -z, jnp.ones(()), config, 0.0, 1.0):.3f}")
      0.368
    """
    if config.step_size is None or config.solver_facts.implicit:
        raise ConfigError(
            f"solver must be explicit with a step size to be unrolled, got {config.solver} and"
            f" step_size {config.step_size}"
        )
    dtype = jax.tree.leaves(z0)[0].dtype
    method = Method(make_solver(config.solver, config.rtol, config.atol), dtype)
    count = grid_steps(config.step_size, abs(t1 - t0))
    if count * method.stages > MOST_EVALUATIONS:
        raise ConfigError(
            f"step_size must leave at most {MOST_EVALUATIONS} evaluations to be unrolled, got"
            f" {count} steps of {method.stages} evaluations"
        )
    sign = 1.0 if t1 > t0 else -1.0
    grid = [t0 + sign * step * config.step_size for step in range(count)] + [t1]
    z = z0
    for start, end in itertools.pairwise(grid):
        z = _step(field, method, z, dtype.type(start), dtype.type(end))
    return z


def _step(
    field: Callable[[Float[Array, ""], State], State],
    method: Method,
    z: State,
    start: np.floating,
    end: np.floating,
) -> State:
    h = end - start
    ks: list[State] = []
    for i in range(method.stages):
        weights = [method.a[i, j] for j in range(i)]
        y = z
        for weight, k in zip(weights, ks, strict=True):
            if weight:
                y = jax.tree.map(lambda y, k, w=weight: y + w * k, y, k)
        t = end if method.c[i] == 1 else start + method.c[i] * h
        ks.append(jax.tree.map(lambda slope: h * slope, field(jnp.asarray(t), y)))
    for weight, k in zip(method.b, ks, strict=True):
        if weight:
            z = jax.tree.map(lambda z, k, w=weight: z + w * k, z, k)
    return z
