"""The adjoint ODE as torchdiffeq's `odeint_adjoint` solves it.

The forward solve steps past its end and stores the outputs alone. The backward solve (Chen et al.
2018, algorithm 1) runs from each output to the one before, of the state (∂L/∂t, z, ∂L/∂z, ∂L/∂θ),
and steps past its end too; at each output the state is set back to the forward solve's. Its error
is measured by the largest of |∂L/∂t|, the norms of z and ∂L/∂z, and the RMS of each parameter's
gradient; the seminorm leaves the last out.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jaxode.config import SolveConfig
from jaxode.ode.adams import solve_adams
from jaxode.ode.adjoint_state import AdjointState, BackwardCost, adjoint_norm
from jaxode.ode.assemble import assemble
from jaxode.ode.costs import stats_of
from jaxode.ode.norms import largest_rms_norm, product
from jaxode.ode.options import StepOptions
from jaxode.ode.recorder import NoRecorder
from jaxode.ode.residuals import Inputs, LinearizedField, RealInputs
from jaxode.ode.stats import Outcome, Stats
from jaxode.ode.stepsize import Norm
from jaxode.ode.times import Span
from jaxode.types import Answer, EndTime, Flags, State, Time, Times


def solve_with_adjoint(
    linearized: LinearizedField,
    z0: State,
    config: SolveConfig,
    span: Span,
    options: StepOptions,
    cost: BackwardCost,
) -> Outcome:
    """States at the output times [T, ...], with gradients by the adjoint ODE.

    Args:
      linearized: the field in a rising time; its last real input is a shift of the time.
      z0: state at t0.
      config: settings, those of the backward solve among them.
      span: start, direction and output times.
      options: torchdiffeq's.
      cost: zeros, whose gradient is the backward solve's cost.
    """
    times = None if span.known else span

    @jax.custom_vjp
    def run(z0: State, inputs: Inputs, times: Span | None, cost: BackwardCost) -> Outcome:
        del cost
        return integrate(linearized, z0, inputs, config, times or span, options)

    def forward(
        z0: State, inputs: Inputs, times: Span | None, cost: BackwardCost
    ) -> tuple[Outcome, tuple]:
        outcome = run(z0, inputs, times, cost)
        return outcome, (outcome.z1, z0, inputs, times)

    def backward(saved: tuple, cotangents: Outcome) -> tuple:
        zs, z0, inputs, times = saved
        # Numbers are kept as JAX's literals where the solve is part of a scan or a checkpoint.
        inputs = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.result_type(leaf)), inputs)
        way_back = _WayBack(linearized, inputs, config, times or span, options)
        return way_back.gradients(zs, z0, cotangents.z1, with_times=times is not None)

    run.defvjp(forward, backward)
    return run(z0, linearized.inputs, times, cost)


def integrate(
    linearized: LinearizedField,
    z0: State,
    inputs: Inputs,
    config: SolveConfig,
    span: Span,
    options: StepOptions,
    norm: Norm | None = None,
) -> Outcome:
    """States at the output times, without a derivative of its own."""
    if config.solver_facts.multistep:
        return solve_adams(linearized, z0, inputs, config, span, options)
    explicit = assemble(linearized, z0, config, span, options, None, norm=norm)
    loop = explicit.solve(z0, inputs, span, NoRecorder(linearized))
    return Outcome(explicit.answer(loop), loop.tried, loop.accepted, loop.failure, loop.extra)


class _Carry(NamedTuple):
    """What the way back carries from output to output."""

    adjoint: AdjointState
    cost: BackwardCost
    complete: Flags
    """Whether all solves so far have reached their ends."""


class _WayBack:
    """The backward solves of one forward solve."""

    def __init__(
        self,
        linearized: LinearizedField,
        inputs: Inputs,
        config: SolveConfig,
        span: Span,
        options: StepOptions,
    ) -> None:
        self.linearized, self.inputs, self.span = linearized, inputs, span
        self.config = replace(
            config,
            rtol=config.rtol if config.backward_rtol is None else config.backward_rtol,
            atol=config.atol if config.backward_atol is None else config.backward_atol,
            backward_rtol=None,
            backward_atol=None,
        )
        self.options = options.of_backward_solve()
        state_norm = options.norm or largest_rms_norm
        self.norm = self.options.norm or partial(
            adjoint_norm, state_norm, seminorm=config.backward_norm == "seminorm"
        )

    def gradients(
        self, zs: Answer, z0: State, cotangent: Answer, *, with_times: bool
    ) -> tuple[State, Inputs, Span | None, BackwardCost]:
        """Gradients of z0, of the inputs and of the times, and the cost.

        Args:
          zs: the outputs [T, ...].
          z0: state at t0.
          cotangent: of the outputs.
          with_times: whether the times have gradients.
        """
        outputs = self.span.outputs
        zero = jnp.zeros((), jax.tree.leaves(z0)[0].dtype)
        starts = jnp.concatenate([jnp.zeros_like(outputs[:1]), outputs[:-1]])
        begin = _Carry(
            AdjointState(
                zero,
                jax.tree.map(jnp.zeros_like, z0),
                jax.tree.map(jnp.zeros_like, z0),
                [jnp.zeros(leaf.shape, zero.dtype) for leaf in self.inputs.real[:-1]],
            ),
            BackwardCost(zero, zero, zero),
            jnp.asarray(True),
        )

        def interval(carry: _Carry, at: tuple) -> tuple[_Carry, Times]:
            end, start, z, to_z = at
            rate = zero
            if with_times:
                slope = self.linearized.evaluate(self.span.clock(end), z, self.inputs)
                rate = product(slope, to_z)
            adjoint = carry.adjoint._replace(
                to_time=carry.adjoint.to_time - rate,
                z=z,
                to_z=jax.tree.map(jnp.add, carry.adjoint.to_z, to_z),
            )
            reached, stats = self._solve_back(adjoint, end, start)
            cost = BackwardCost(
                *(a + b.astype(zero.dtype) for a, b in zip(carry.cost, stats[:3], strict=True))
            )
            return _Carry(reached, cost, carry.complete & (stats.failure == 0)), rate

        every = (jnp.asarray(outputs), starts, zs, cotangent)
        if outputs.shape[0] == 1:
            only = jax.tree.map(lambda leaf: leaf[0], every[2:])
            last, rate = interval(begin, (outputs[0], 0 * outputs[0], *only))
            rates = rate[None]
        else:
            last, rates = lax.scan(interval, begin, every, reverse=True)
        adjoint, cost, complete = last

        def checked(leaf: Float[Array, "..."]) -> Float[Array, "..."]:
            return jnp.where(complete, leaf, jnp.nan)

        real = [
            checked(leaf).astype(like.dtype)
            for leaf, like in zip(adjoint.to_real, self.inputs.real, strict=False)
        ]
        real.append(jnp.zeros_like(self.inputs.real[-1]))
        times = None
        if with_times:
            to_t0 = self.span.sign * (adjoint.to_time + rates.sum())
            times = Span(checked(to_t0), jnp.zeros_like(self.span.sign), checked(rates))
        return jax.tree.map(checked, adjoint.to_z), Inputs(real, None), times, cost

    def _solve_back(
        self, adjoint: AdjointState, end: EndTime, start: EndTime
    ) -> tuple[AdjointState, Stats]:
        """The adjoint state at the output before, and what the solve cost."""
        span = Span(self.span.clock(end), -self.span.sign, (end - start)[None])
        field = LinearizedField(
            self._dynamics, jnp.zeros_like(adjoint.to_time), adjoint, self.inputs
        )
        outcome = integrate(
            field, adjoint, field.inputs, self.config, span, self.options, self.norm
        )
        reached = jax.tree.map(lambda leaf: leaf[0], outcome.z1)
        return reached, stats_of(outcome, self.config, self.options)

    def _dynamics(self, t: Time, state: AdjointState, inputs: Inputs) -> AdjointState:
        """Slopes of the adjoint state in the time that runs back.

        With the minus sign of that time: dz = -f, and da = (∂f/∂z)ᵀ a for the adjoint a.
        """

        def evaluate(z: State, real: RealInputs) -> State:
            return self.linearized.evaluate(t, z, inputs._replace(real=real))

        slope, pull = jax.vjp(evaluate, state.z, inputs.real)
        to_z, to_real = pull(state.to_z)
        real = [leaf.astype(like.dtype) for leaf, like in zip(to_real, state.to_real, strict=False)]
        to_time = to_real[-1] * jnp.asarray(self.span.sign)
        return AdjointState(to_time, jax.tree.map(jnp.negative, slope), to_z, real)
