"""What the solves of a model's ODE blocks cost: variables of their own types."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from jaxode.nn.regularisation import Regularised
from jaxode.ode import BackwardCost, Stats


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

    Its gradient is the cost, of a block with the gradient mode backsolve; of any other it is zero.
    With per-sample step sizes it may have an element for each sample of the batch. `count_backward`
    adds it to a model's blocks.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxode import SolveConfig
      >>> from jaxode.nn import BackwardSolveCost, ODEBlock, count_backward
      >>> block = ODEBlock(
      ...     lambda t, z: -z, SolveConfig(gradient="backsolve", stepping="torchdiffeq"))
      >>> count_backward(block)
      >>> graph, cost, rest = nnx.split(block, BackwardSolveCost, ...)
      >>> slope = jax.grad(lambda c: nnx.merge(graph, c, rest)(jnp.ones(2))[0].sum())
      >>> gradient = jax.jit(slope)(cost)
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


def backward_solves(model: nnx.Module) -> list[Regularised]:
    """The modules of a model that are differentiated by a backward solve, in one order always.

    Args:
      model: any module; `ODEBlock`s and `ContinuousFlow`s are found.
    """
    modules = (module for _, module in nnx.iter_modules(model))
    return [
        each
        for each in modules
        if isinstance(each, Regularised) and each.solve.gradient_facts.backward_solve
    ]


def zero_costs(model: nnx.Module, batch: int, dtype: DTypeLike) -> list[BackwardCost]:
    """What `take_costs` takes: zeros, whose gradients are the costs of a model's backward solves.

    Args:
      model: of which `backward_solves` are counted.
      batch: number of samples, which have counts of their own with per-sample step sizes.
      dtype: of the parameters.
    """
    modules = backward_solves(model)
    shapes = [(batch,) if module.solve.per_sample else () for module in modules]
    return [BackwardCost(*(jnp.zeros(shape, dtype) for _ in range(3))) for shape in shapes]


def take_costs(model: nnx.Module, costs: list[BackwardCost]) -> None:
    """Have the backward solves of a model add what they cost to the gradients of these numbers.

    Args:
      model: whose modules are given a `BackwardSolveCost` each.
      costs: zeros for each of its `backward_solves`.
    """
    for module, cost in zip(backward_solves(model), costs, strict=True):
        module.backward_cost = BackwardSolveCost(cost)  # type: ignore[attr-defined]


def each_of_several(cost: BackwardCost, samples: int) -> BackwardCost:
    """The cost of each sample of a state that holds several for each of a batch, batch by batch.

    Args:
      cost: arrays [B].
      samples: a multiple of B, as of the posterior's draws for each series.
    """
    return jax.tree.map(lambda leaf: jnp.tile(leaf, samples // leaf.shape[0]), cost)
