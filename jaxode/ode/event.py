"""A solve that ends where a function of time and state changes its sign, and its derivative."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jaxode.checks import ConfigError, require
from jaxode.config import SolveConfig
from jaxode.ode.assemble import assemble
from jaxode.ode.buffers import zeros
from jaxode.ode.checked import check_options, check_state, checked_field
from jaxode.ode.dense_output import DenseOutput
from jaxode.ode.failures import MAX_STEPS
from jaxode.ode.norms import product
from jaxode.ode.options import StepOptions
from jaxode.ode.own_solve import linearized_field
from jaxode.ode.polynomials import combine_step
from jaxode.ode.recorder import NoRecorder
from jaxode.ode.solve import odeint
from jaxode.ode.stats import Stats
from jaxode.ode.times import Span
from jaxode.types import Args, NumpyTime, State, StateLike, Time, VectorField

EventFunction = Callable[[Time, State], Float[Array, "..."]]
"""t, z → numbers; the solve ends where the first of them changes its sign."""

_TINY = 1e-12
"""Added to the event's rate of change, as in torchdiffeq."""


def odeint_event(
    field: VectorField,
    z0: StateLike,
    t0: float,
    args: Args,
    config: SolveConfig,
    *,
    event: EventFunction,
    reverse_time: bool = False,
    options: StepOptions | None = None,
) -> tuple[Time, State, Stats]:
    """Time and state at which an event occurs; torchdiffeq's `odeint_event`.

    The solve steps until the sign of `event` differs from the one at t0, and bisects the
    interpolant of that step to the absolute tolerance. Gradients reach `z0`, `args` and, through
    the implicit function theorem, the time of the event (Chen, Amos and Nickel 2021, "Learning
    neural event functions for ordinary differential equations", section 3); what `event` closes
    over has none.

    Args:
      field: t, z, args → dz/dt.
      z0: pytree of floating-point arrays of one type.
      t0: start, a number.
      args: pytree, usually the parameters.
      config: an explicit solver with torchdiffeq's stepping; all samples share one step size.
      event: t, z → a number, or an array of which the first to change its sign ends the solve.
      reverse_time: whether time falls.
      options: torchdiffeq's.

    Returns:
      The time of the event, the state there, and Stats; a solve that takes `max_steps` steps
      without an event fails.

    Raises:
      ConfigError: another stepping, `per_sample` or an Adams method.

    Example:
      A ball that falls from a height of 1 with an acceleration of 2 reaches the ground at t = 1.

      >>> import jax.numpy as jnp
      >>> from jaxode import SolveConfig
      >>> from jaxode.ode import odeint_event
      >>> config = SolveConfig("dopri5", rtol=1e-6, atol=1e-6, stepping="torchdiffeq")
      >>> def fall(t, z, args):
      ...     return jnp.stack([z[1], -2.0 * jnp.ones_like(t)])
      >>> t, z, _ = odeint_event(
      ...     fall, jnp.array([1.0, 0.0]), 0.0, None, config, event=lambda t, z: z[0]
      ... )
      >>> print(f"{t:.3f} {z[1]:.3f}")
      1.000 -2.000
    """
    stepping = config.stepping
    require(stepping == "torchdiffeq", "stepping", stepping, "torchdiffeq for odeint_event")
    if config.per_sample or config.solver_facts.multistep:
        raise ConfigError("odeint_event needs one step size for all samples, and no Adams method")
    z0, dtype = check_state(z0, config)
    options = check_options(options, config)
    field = checked_field(field)
    sign: NumpyTime = dtype.type(-1 if reverse_time else 1)
    begin: NumpyTime = dtype.type(t0)
    found, failure = _find(
        field, *lax.stop_gradient((z0, args)), config, begin, sign, event, options
    )
    t1 = begin + sign * found
    ts = jnp.stack([jnp.asarray(begin), lax.stop_gradient(t1)])
    zs, stats = odeint(field, z0, ts, args, config, options=options)
    state = jax.tree.map(lambda leaf: leaf[-1], zs)
    time, state = _rerouted(field, event, lax.stop_gradient(args))(ts[1], state)
    stats = stats._replace(failure=jnp.where(stats.failure == 0, failure, stats.failure))
    return time, state, stats


def _find(
    field: VectorField,
    z0: State,
    args: Args,
    config: SolveConfig,
    t0: NumpyTime,
    sign: NumpyTime,
    event: EventFunction,
    options: StepOptions,
) -> tuple[Time, Array]:
    """Time since the start at which the event occurs, and the failure of the search."""
    far = jnp.asarray(jnp.finfo(t0.dtype).max / 4, t0.dtype)
    span = Span(jnp.asarray(t0), jnp.asarray(sign), far[None])
    linearized = linearized_field(field, z0, args, span, None, None)
    explicit = assemble(linearized, z0, config, span, options, None)
    signs = jnp.sign(event(span.clock(jnp.zeros_like(far)), z0))

    def value(s: Time, z: State) -> Float[Array, ""]:
        """Positive before the event: the smallest of all, each with its first sign."""
        return jnp.min(event(span.clock(s), z) * signs)

    first = explicit.begin(z0, linearized.inputs, span, NoRecorder(linearized))
    count = config.max_steps

    def running(carry: tuple) -> Array:
        loop, _ = carry
        return (value(loop.t, loop.y) > 0) & (loop.failure == 0) & (loop.tried < count)

    def step(carry: tuple) -> tuple:
        loop, before = carry
        recorder = NoRecorder(linearized)
        new, tried = explicit.step(loop, linearized.inputs, span, recorder)
        before = jax.tree.map(
            lambda a, b: jnp.where(tried.accept, a, b), (tried.t, tried.y0, tried.ks), before
        )
        return new, before

    blank = (first.t, z0, zeros(explicit.method.stages, z0))
    last, (start, y0, ks) = lax.while_loop(running, step, (first, blank))
    tolerance = jnp.asarray(config.atol, far.dtype)
    halvings = jnp.ceil(jnp.log2(jnp.maximum((last.t - start) / tolerance, 1))).astype(jnp.int32)

    def halve(_: Array, ends: tuple[Time, Time]) -> tuple[Time, Time]:
        low, high = ends
        middle = (low + high) / 2
        h = jnp.where(last.t > start, last.t - start, 1)
        assert isinstance(explicit.end, DenseOutput)
        weights = explicit.end.polynomial.weights((middle - start) / h)
        ahead = value(middle, combine_step(weights, y0, last.y, ks)) > 0
        return jnp.where(ahead, middle, low), jnp.where(ahead, high, middle)

    low, high = lax.fori_loop(0, halvings, halve, (start, last.t))
    missed = (last.failure == 0) & (value(last.t, last.y) > 0)
    return (low + high) / 2, jnp.where(missed, MAX_STEPS, last.failure)


def _rerouted(field: VectorField, event: EventFunction, args: Args) -> Callable:
    """The time and state of an event as they are, with the gradients of the implicit function.

    With c(t, z) = 0 at the event: dt = -(∂c/∂z · dz) / (∂c/∂t + ∂c/∂z · f).
    """

    @jax.custom_vjp
    def same(t: Time, z: State) -> tuple[Time, State]:
        return t, z

    def forward(t: Time, z: State) -> tuple:
        return (t, z), (t, z)

    def backward(saved: tuple, cotangents: tuple) -> tuple:
        t, z = saved
        to_t, to_z = cotangents
        slope = field(t, z, args)
        values = event(t, z)
        which = jnp.argmin(jnp.abs(values))
        value, pull = jax.vjp(lambda t, z: jnp.ravel(event(t, z))[which], t, z)
        per_t, per_z = pull(jnp.ones_like(value))
        rate = per_t + product(per_z, slope)
        total = to_t + product(to_z, slope)
        factor = -total / (rate + _TINY)
        return jnp.zeros_like(t), jax.tree.map(lambda a, b: a + factor * b, to_z, per_z)

    same.defvjp(forward, backward)
    return same
