"""What the solves of a model's ODE blocks cost: variables of their own types."""

from __future__ import annotations

from flax import nnx

from jaxode.ode import Stats


class SolveStats(nnx.Variable):
    """Statistics of a block's latest solve: a `jaxode.ode.Stats` of arrays.

    A separate type of variable, so that `nnx.state(model, SolveStats)` selects it in any model.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxode.nn import ODEBlock, SolveStats
      >>> block = ODEBlock(lambda t, z: -z)
      >>> _ = block(jnp.ones(2))
      >>> list(nnx.to_flat_state(nnx.state(block, SolveStats)).paths)
      [('stats',)]
    """


class BackwardSolveCost(nnx.Variable):
    """What a block's backward solve costs: a `jaxode.ode.BackwardCost` of zeros.

    Its gradient is the cost, of a block with the gradient mode backsolve and torchdiffeq's
    stepping; of any other it is zero. `count_backward` adds it to a model's blocks.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxode import SolveConfig
      >>> from jaxode.nn import BackwardSolveCost, ODEBlock, count_backward
      >>> block = ODEBlock(
      ...     lambda t, z: -z, SolveConfig(gradient="backsolve", stepping="torchdiffeq"))
      >>> count_backward(block)
      >>> graph, cost, rest = nnx.split(block, BackwardSolveCost, ...)
      >>> gradient = jax.grad(lambda c: nnx.merge(graph, c, rest)(jnp.ones(2))[0].sum())(cost)
      >>> int(gradient["backward_cost"].get_value().nfe)
      14
    """


def solve_stats(model: nnx.Module) -> Stats:
    """Statistics of the latest solve of each of a model's ODE blocks, in the order of their paths.

    Args:
      model: a module that has been called within the present transformation.

    Returns:
      Arrays [blocks], or [blocks, B] if the step sizes are per sample; empty for a model without
      ODE blocks.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxode.nn import ODEBlock, solve_stats
      >>> block = ODEBlock(lambda t, z: -z)
      >>> _ = block(jnp.ones(2))
      >>> solve_stats(block).nfe.shape
      (1,)
    """
    variables = nnx.to_flat_state(nnx.state(model, SolveStats))
    return Stats.chain([variable.get_value() for _, variable in variables])
