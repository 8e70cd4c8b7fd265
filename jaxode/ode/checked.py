"""What is checked where a solve begins, and what its failure is where it cannot be right."""

from __future__ import annotations

from typing import Any

import equinox
import jax
import jax.numpy as jnp
import numpy as np

from jaxode.checks import ConfigError
from jaxode.config import SolveConfig
from jaxode.ode.failures import TIMES, UNRESOLVED
from jaxode.ode.options import StepOptions
from jaxode.ode.stats import Stats
from jaxode.ode.times import Span, ordered
from jaxode.types import Args, State, StateLike, Time, VectorField


def check_state(z0: StateLike, config: SolveConfig) -> tuple[State, np.dtype]:
    """The state as arrays, and its type.

    Raises:
      ConfigError: leaves that are not of one floating-point type, or `per_sample` without samples.
    """
    types = {jnp.result_type(leaf) for leaf in jax.tree.leaves(z0)}
    if any(jnp.issubdtype(kind, jnp.complexfloating) for kind in types):
        raise ConfigError(
            "z0 must be real, got a complex state: solve for its real and imaginary part, as a"
            " tuple or stacked"
        )
    if len(types) != 1 or not jnp.issubdtype(next(iter(types)), jnp.floating):
        raise ConfigError(
            f"z0 must hold arrays of one floating-point type, got {sorted(map(str, types))}"
        )
    if config.per_sample and (not hasattr(z0, "ndim") or z0.ndim == 0):
        raise ConfigError("z0 must be one array [B, ...] under per_sample")
    return jax.tree.map(jnp.asarray, z0), np.dtype(next(iter(types)))


def check_options(options: StepOptions | None, config: SolveConfig) -> StepOptions:
    """The options, or their defaults.

    Raises:
      ConfigError: options without torchdiffeq's stepping, or ones that the settings have no use
        for.
    """
    if options is None:
        return StepOptions()
    chosen = options.chosen()
    if config.stepping != "torchdiffeq":
        if chosen:
            raise ConfigError(f"options {', '.join(chosen)} need stepping torchdiffeq")
        return options
    adaptive = ("first_step", "min_step", "max_step", "safety", "ifactor", "dfactor",
                "step_t", "jump_t", "first_step_gradient")  # fmt: skip
    fixed = ("grid_constructor", "interp", "perturb")
    useless = [name for name in chosen if name in (fixed if config.adaptive else adaptive)]
    if useless:
        kind = "fixed" if not config.adaptive else "adaptive"
        raise ConfigError(f"options {', '.join(useless)} have no meaning for {kind} steps")
    exact = [name for name in chosen if name in ("step_t", "jump_t", "interp")]
    if exact and config.gradient_facts.needs_explicit:
        raise ConfigError(
            f"options {', '.join(exact)} need gradient direct, checkpointed or backsolve, got"
            f" {config.gradient_facts.name}"
        )
    if config.solver_facts.multistep and config.per_sample:
        raise ConfigError(f"solver {config.solver_facts.name} does not go with per_sample")
    return options


def checked_field(field: VectorField) -> VectorField:
    """The field, whose slope must have the state's structure, shapes and type.

    A slope of integers or of a narrower type is converted.
    """

    def checked(t: Time, z: State, args: Args) -> State:
        slope = field(t, z, args)
        expected, got = jax.tree.structure(z), jax.tree.structure(slope)
        if got != expected:
            raise ConfigError(
                f"field must return a slope structured as the state, {expected}, got {got}"
            )
        return jax.tree.map(_like, slope, z)

    return checked


def _like(slope: Any, z: jax.Array) -> jax.Array:
    if not hasattr(slope, "dtype") and not np.isscalar(slope):
        raise ConfigError(f"field must return arrays, got {slope!r}")
    shape, dtype = np.shape(slope), jnp.result_type(slope)
    if shape != z.shape:
        raise ConfigError(
            f"field must return a slope shaped as the state, {list(z.shape)}, got {list(shape)}"
        )
    if jnp.promote_types(dtype, z.dtype) != z.dtype:
        raise ConfigError(
            f"field must return a slope of the state's type, {z.dtype}, got {dtype}: convert it, or"
            " the state"
        )
    return jnp.asarray(slope, z.dtype)


def with_time_failures(
    stats: Stats, field: VectorField, z0: State, args: Args, span: Span, config: SolveConfig
) -> Stats:
    """Stats whose failure says where the times cannot be right.

    They are not finite, do not run one way, or are so far from zero that the state's type rounds
    the times within a step together, while the field depends on the time.
    """
    failure = stats.failure
    dtype = jax.tree.leaves(z0)[0].dtype
    maths = np if span.known else jnp
    end = span.end
    furthest = maths.maximum(maths.abs(span.t0), maths.abs(span.t0 + span.sign * end))
    ulp = furthest * float(jnp.finfo(dtype).eps)
    if not span.known:
        failure = jnp.where(ordered(span), failure, TIMES)
    if not span.known or np.any(ulp * config.max_steps > end):
        at = jnp.zeros((z0.shape[0], *[1] * (z0.ndim - 1)) if config.per_sample else (), dtype)
        if _reads_time(field, at, z0, args):
            rounded = (stats.accepted > 0) & (end < ulp * stats.accepted)
            failure = jnp.where((failure == 0) & rounded, UNRESOLVED, failure)
    return stats._replace(failure=failure.astype(jnp.int32))


def _reads_time(field: VectorField, t: Time, z: State, args: Args) -> bool:
    arrays, static = equinox.partition(args, equinox.is_array)
    jaxpr = jax.make_jaxpr(lambda t, z, a: field(t, z, equinox.combine(a, static)))(t, z, arrays)
    time = jaxpr.jaxpr.invars[0]
    read = [v for equation in jaxpr.eqns for v in equation.invars]
    return any(v is time for v in (*read, *jaxpr.jaxpr.outvars))
