"""An ODE as a layer: any field, any state, with the field's parameters handed to the solve."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx
from jax.core import Tracer

from jaxode.checks import ConfigError
from jaxode.config import SolveConfig
from jaxode.ode import Stats, odeint
from jaxode.types import Params, State, Time

Field = Callable[..., State]
"""An `nnx.Module` or a function: f(t, z) or f(t, z, args) → dz/dt, shaped as z."""

DIFFERENTIATED = ("JVPTracer", "LinearizeTracer")
"""JAX's own names for the values that a derivative is being taken with respect to."""


class SolveStats(nnx.Variable):
    """Statistics of a block's latest solve: a `jaxode.ode.Stats` of arrays.

    A kind of its own, so that `nnx.state(model, SolveStats)` finds them in any model.
    """


class ODEBlock(nnx.Module):
    """z(t1) of dz/dt = f(t, z) with z(t0) the block's input (Chen et al. 2018, equation 2).

    The parameters of a field that is an `nnx.Module` are handed to the solve, so that every
    gradient mode differentiates it with respect to them, under `jax.jit`, `nnx.jit` and `nnx.grad`
    alike. A field must not change its own variables: a solve evaluates it as often as it needs.

    The statistics of a call are returned, and kept in `stats`, an `nnx.Variable` that is there
    after the first call: then `nnx.split(model, nnx.Param, ...)` has it among the rest, which has
    no gradient. A call inside a transformation that the block is not an argument of (`jax.jit` of a
    function that closes over it) cannot write them.

    Args:
      field: an `nnx.Module` or a function, f(t, z) or f(t, z, args). A function must not close over
        parameters: give it as `args` what is to have a gradient, or make it a module.
      solve: solver, tolerances or step size, gradient mode.
      t0: start, finite.
      t1: end, finite, before or after t0 but different.

    Raises:
      ConfigError: a field that cannot be called so, or times that are equal.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxode import SolveConfig
      >>> from jaxode.nn import ODEBlock
      >>> block = ODEBlock(lambda t, z: -z, SolveConfig(rtol=1e-6, atol=1e-6))
      >>> z, stats = block(jnp.ones(2))
      >>> print(f"{z[0]:.4f}", int(block.stats.get_value().failure))
      0.3679 0
    """

    def __init__(
        self, field: Field, solve: SolveConfig | None = None, t0: float = 0.0, t1: float = 1.0
    ) -> None:
        if not callable(field):
            raise ConfigError(f"field must be an nnx.Module or a function, got {field!r}")
        if t0 == t1:
            raise ConfigError(f"t1 must differ from t0, got t0 = {t0!r} and t1 = {t1!r}")
        self.field = field
        self.solve = SolveConfig() if solve is None else solve
        self.t0, self.t1 = t0, t1

    def __call__(self, z: State, args: Params = None) -> tuple[State, Stats]:
        """The state at t1, and what the solve cost.

        Args:
          z: the state at t0, a pytree of floating-point arrays of one type; [B, …] if the step
            sizes are per sample.
          args: pytree, the third argument of a field that has one; has a gradient.

        Raises:
          ConfigError: arguments for a field that takes none, a function that closes over what is
            being differentiated, or a state that `odeint` does not take.
        """
        with_args = takes_args(self.field, args)
        if args is not None and not with_args:
            raise ConfigError("args must be left out for a field f(t, z), which takes none")
        if isinstance(self.field, nnx.Module):
            graph, state = nnx.split(self.field)
            # Parameters travel as args, which the adjoint differentiates, and as plain arrays,
            # which every library takes.
            params, tree = jax.tree.flatten(state)

            def bound(params: Params) -> Field:
                return nnx.merge(graph, jax.tree.unflatten(tree, params))
        else:
            params = []
            self._refuse_closed_over(z, (args,) if with_args else ())

            def bound(params: Params) -> Field:
                return self.field

        if with_args:
            given = (params, args)

            def slope(t: Time, z: State, given: Params) -> State:
                return bound(given[0])(t, z, given[1])
        else:
            given = params

            def slope(t: Time, z: State, given: Params) -> State:
                return bound(given)(t, z)

        z1, stats = odeint(slope, z, given, self.solve, t0=self.t0, t1=self.t1)
        self._keep(stats)
        return z1, stats

    def _keep(self, stats: Stats) -> None:
        """Put the statistics into the variable, unless they belong to an inner transformation."""
        if not self._pytree__state.trace_state.is_valid():
            return
        if hasattr(self, "stats"):
            self.stats.set_value(stats)
        else:
            self.stats = SolveStats(stats)

    def _refuse_closed_over(self, z: State, given: tuple[Params, ...]) -> None:
        """Raise ConfigError if a function reads what is being differentiated past its arguments."""
        z = jax.tree.map(jnp.asarray, z)
        time = jnp.zeros((), jnp.result_type(*jax.tree.leaves(z)))
        if self.solve.per_sample:
            time = time.reshape((1,) * jax.tree.leaves(z)[0].ndim)
        read = jax.make_jaxpr(lambda t, z, given: self.field(t, z, *given))(time, z, given).consts
        if any(isinstance(each, Tracer) and type(each).__name__ in DIFFERENTIATED for each in read):
            raise ConfigError(
                "field must not close over parameters that are being differentiated: make it an"
                " nnx.Module, or a function f(t, z, args) and call the block with args"
            )


def takes_args(field: Field, args: Params) -> bool:
    """Whether a field is f(t, z, args); with a default for its third argument, if there are any."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    positional = [p for p in inspect.signature(field).parameters.values() if p.kind in kinds]
    if len(positional) < 3:
        return False
    return args is not None or positional[2].default is inspect.Parameter.empty


def solve_stats(model: nnx.Module) -> Stats:
    """Statistics of the latest solve of each of a model's ODE blocks, in the order of their paths.

    Args:
      model: any module that has been called, in the transformation that it was called in.

    Returns:
      Arrays [blocks], or [blocks, B] if the step sizes are per sample; empty for a model that
      solves nothing.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxode.nn import ODEBlock, solve_stats
      >>> block = ODEBlock(lambda t, z: -z)
      >>> _ = block(jnp.ones(2))
      >>> solve_stats(block).nfe.shape
      (1,)
    """
    found = nnx.to_flat_state(nnx.state(model, SolveStats))
    return Stats.chain([variable.get_value() for _, variable in found])
