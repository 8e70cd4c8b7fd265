"""An ODE as a layer: any field, any state; the field's parameters are the solve's arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.core import Tracer
from jaxtyping import Array, PyTree

from jaxode.checks import ConfigError
from jaxode.config import SolveConfig
from jaxode.nn.regularisation import Draws, Regularised, check_steer, inputs_of_solve
from jaxode.nn.regularised_field import (
    PerSample,
    RegularisedField,
    differentiable_twice,
    root_mean_square,
)
from jaxode.nn.solve_stats import BackwardSolveCost, SolveStats, each_of_several
from jaxode.ode import BackwardCost, Stats, StepOptions, odeint, odeint_with_errors
from jaxode.ode.times import TimesLike
from jaxode.types import Answer, ErrorMeasure, State, Time

Field = Callable[..., State]
"""An `nnx.Module` or a function: f(t, z) or f(t, z, args) → dz/dt, shaped as z."""

DIFFERENTIATED = ("JVPTracer", "LinearizeTracer")
"""JAX's names for values that are being differentiated."""


class ODEBlock(Regularised):
    """z(t1) of dz/dt = f(t, z) with z(t0) the block's input.

    Source: Chen et al. 2018, equation 2.

    The parameters of a field that is an `nnx.Module` are passed to the solve as its arguments, so
    that every gradient mode has their gradients, under `jax.jit`, `nnx.jit` and `nnx.grad`. A field
    must not change its own variables, since the number of its evaluations varies.

    The statistics of a call are returned and stored in `stats`, an `nnx.Variable` that exists after
    the first call; `nnx.split(model, nnx.Param, ...)` puts it with the rest, without a gradient. A
    call inside a transformation that the block is not an argument of (`jax.jit` of a function that
    closes over it) does not store them.

    The regularisers of the settings, if there are any, are in effect after `begin_training` alone.
    Then the solve's state also has the integrals that are penalised, by which its steps are chosen
    too.

    Args:
      field: an `nnx.Module` or a function, f(t, z) or f(t, z, args). A function must not close over
        parameters that are differentiated: pass them as `args`, or make the field a module.
      solve: solver, tolerances or step size, gradient mode; None for the defaults.
      t0: initial time, finite.
      t1: final time, finite; before or after t0, but not equal.
      options: torchdiffeq's `options`, for its stepping.

    Raises:
      ConfigError: the field is not callable, the times are equal, or STEER's weight is not below
        the time between them.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxode import SolveConfig
      >>> from jaxode.nn import ODEBlock
      >>> block = ODEBlock(lambda t, z: -z, SolveConfig(rtol=1e-6, atol=1e-6))
      >>> z, stats = block(jnp.ones(2))
      >>> print(f"{z[0]:.4f}", int(block.stats.get_value().failure))
      0.3679 0
    """

    stats: SolveStats

    def __init__(
        self,
        field: Field,
        solve: SolveConfig | None = None,
        t0: float = 0.0,
        t1: float = 1.0,
        options: StepOptions | None = None,
    ) -> None:
        if not callable(field):
            raise ConfigError(f"field must be an nnx.Module or a function, got {field!r}")
        if t0 == t1:
            raise ConfigError(f"t1 must differ from t0, got t0 = {t0!r} and t1 = {t1!r}")
        self.field = field
        self.solve = SolveConfig() if solve is None else solve
        check_steer(self.solve, t0, t1)
        self.t0, self.t1, self.options = t0, t1, options

    def __call__(
        self, z: State, args: PyTree = None, ts: TimesLike | None = None
    ) -> tuple[Answer, Stats]:
        """Solve from t0 to t1, or through given times.

        Args:
          z: the state at t0, a pytree of floating-point arrays of one type; [B, …] if the step
            sizes are per sample.
          args: pytree, the third argument of a field that has one; has a gradient.
          ts: times [T] in place of t0 and t1, the first of which is that of z, as `odeint` takes
            them.

        Returns:
          The state at t1, shaped as z, or with `ts` the states at all of them, [T, …]; and the
          statistics of the solve.

        Raises:
          ConfigError: `args` for a field without a third argument, a function that closes over what
            is being differentiated, or a state that `odeint` refuses.
        """
        with_args = takes_args(self.field, args)
        if args is not None and not with_args:
            raise ConfigError("args must be left out for a field f(t, z), without a third argument")
        if not isinstance(self.field, nnx.Module):
            self._refuse_closed_over(z, (args,) if with_args else ())
        if hasattr(self, "draws"):
            return self._regularised(z, args, ts, with_args)
        zs, _, stats = self._solved(self.field, z, args, ts, with_args)
        return zs, stats

    def _solved(
        self,
        solved: Field,
        z: State,
        args: PyTree,
        ts: TimesLike | None,
        with_args: bool,
        measure: ErrorMeasure | None = None,
    ) -> tuple[Answer, Any, Stats]:
        """The solve of a field, whose statistics are stored; with the sum of error estimates."""
        if isinstance(solved, nnx.Module):
            graph, state = nnx.split(solved)
            # Parameters are args, which the adjoint differentiates, and plain arrays, which every
            # library accepts.
            params, tree = jax.tree.flatten(state)

            def bound(params: list[Array]) -> Field:
                return nnx.merge(graph, jax.tree.unflatten(tree, params))
        else:
            params = []

            def bound(params: list[Array]) -> Field:
                return solved

        def slope(t: Time, z: State, inputs: tuple[list[Array], PyTree]) -> State:
            return bound(inputs[0])(t, z, inputs[1])

        def slope_without_args(t: Time, z: State, params: list[Array]) -> State:
            return bound(params)(t, z)

        cost = getattr(self, "backward_cost", None)
        reported = None if cost is None else cost.get_value()
        if reported is not None and reported.nfe.ndim:
            reported = each_of_several(reported, jax.tree.leaves(z)[0].shape[0])
        also: dict[str, Any] = {"options": self.options, "backward_cost": reported}
        field, inputs = (slope, (params, args)) if with_args else (slope_without_args, params)
        rest: Any = (inputs, self.solve) if ts is None else (ts, inputs, self.solve)
        if ts is None:
            also |= {"t0": self.t0, "t1": self.t1}
        if measure is None:
            (zs, stats), errors = odeint(field, z, *rest, **also), None
        else:
            del also["backward_cost"]  # of a backward solve, which has no error estimates
            zs, errors, stats = odeint_with_errors(field, z, *rest, measure=measure, **also)
        self._store(stats)
        return zs, errors, stats

    def _regularised(
        self, z: State, args: PyTree, ts: TimesLike | None, with_args: bool
    ) -> tuple[Answer, Stats]:
        """The solve in training, whose penalty is added to `penalty`."""
        if not self._pytree__state.trace_state.is_valid():
            raise ConfigError(
                "regularise needs the ODE block as an argument of every transformation that it is"
                " called in: its penalty cannot leave one that closes over it"
            )
        z = jax.tree.map(jnp.asarray, z)
        regularisers, draws = self.solve.regularisers, self.draws.get_value()
        span = (self.t0, self.t1) if ts is None else None
        inputs = inputs_of_solve(self, draws, z, span, args)
        measure = root_mean_square if regularisers.error else None
        if not regularisers.integrals and inputs.speed is None:
            zs, errors, stats = self._solved(self.field, z, args, ts, with_args, measure)
            self._penalise(regularisers.error, errors, draws)
            return zs, stats
        field = RegularisedField(
            differentiable_twice(self.field) if regularisers.jacobian else self.field,
            regularisers.integrals,
            self.t0,
            takes_args=with_args,
            packed=z.shape[1:] if self.solve.per_sample else None,
        )
        if measure is not None:
            measure = lambda error: root_mean_square(field.parted(error)[0])  # noqa: E731
        augmented = field.augmented(z)
        answer, errors, stats = self._solved(field, augmented, inputs, ts, True, measure)
        zs, integrals = field.parted(answer)
        times = jnp.asarray([self.t0, self.t1] if ts is None else ts)
        sign = jnp.sign(times[..., -1] - times[..., 0])
        for name, integral in zip(regularisers.integrals, integrals, strict=True):
            last = integral if ts is None else integral[-1]
            self._penalise(getattr(regularisers, name), sign * last, draws)
        if errors is not None and inputs.speed is not None:
            errors = inputs.speed * errors  # a step of size h takes speed · h of time
        self._penalise(regularisers.error, errors, draws)
        return zs, stats

    def _penalise(self, weight: float, of_samples: PerSample | None, draws: Draws) -> None:
        """Add a weight times the mean over the samples of what is penalised, if there is any."""
        if of_samples is not None:
            found = weight * jnp.sum(draws.shares * of_samples.astype(draws.shares.dtype))
            self.penalty.set_value(self.penalty.get_value() + found)

    def _store(self, stats: Stats) -> None:
        """Set the variable, unless the statistics belong to an inner transformation."""
        if not self._pytree__state.trace_state.is_valid():
            return
        if hasattr(self, "stats"):
            self.stats.set_value(stats)
        else:
            self.stats = SolveStats(stats)

    def _refuse_closed_over(self, z: State, args: tuple[PyTree, ...]) -> None:
        """Raise ConfigError if a function closes over a value that is being differentiated."""
        z = jax.tree.map(jnp.asarray, z)
        time = jnp.zeros((), jnp.result_type(*jax.tree.leaves(z)))
        if self.solve.per_sample:
            time = time.reshape((1,) * jax.tree.leaves(z)[0].ndim)
        consts = jax.make_jaxpr(lambda t, z, args: self.field(t, z, *args))(time, z, args).consts
        if any(isinstance(c, Tracer) and type(c).__name__ in DIFFERENTIATED for c in consts):
            raise ConfigError(
                "field must not close over parameters that are being differentiated: make it an"
                " nnx.Module, or a function f(t, z, args) and call the block with args"
            )


def takes_args(field: Field, args: PyTree) -> bool:
    """Whether a field is called as f(t, z, args).

    Args:
      field: a callable of two or three positional parameters.
      args: its third argument, or None.

    Returns:
      Whether it has a third parameter; if that has a default, whether `args` is not None.
    """
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    positional = [p for p in inspect.signature(field).parameters.values() if p.kind in kinds]
    if len(positional) < 3:
        return False
    return args is not None or positional[2].default is inspect.Parameter.empty


def count_backward(model: nnx.Module) -> None:
    """Have the ODE blocks of a model report what their backward solves cost.

    Args:
      model: whose blocks are given a `BackwardSolveCost`.

    Example:
      >>> from flax import nnx
      >>> from jaxode.nn import BackwardSolveCost, ODEBlock, count_backward
      >>> block = ODEBlock(lambda t, z: -z)
      >>> count_backward(block)
      >>> list(nnx.to_flat_state(nnx.state(block, BackwardSolveCost)).paths)
      [('backward_cost',)]
    """
    for _, module in nnx.iter_modules(model):
        if isinstance(module, ODEBlock):
            module.backward_cost = BackwardSolveCost(BackwardCost(*jnp.zeros(3)))
