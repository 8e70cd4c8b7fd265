"""torchdiffeq's `options`: what its solvers can be told besides method and tolerances."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal

import jax
import numpy as np
from jaxtyping import Array, PyTree

from jaxode.checks import ConfigError

Tolerance = PyTree
"""A number; or a pytree of numbers or arrays that is a prefix of the state: one for each part."""

GridConstructor = Callable[..., Sequence[float] | np.ndarray | Array]
"""(field, z0, ts) → times of a fixed grid, from ts[0] to ts[-1]."""


@dataclass(frozen=True, eq=False)
class StepOptions:
    """torchdiffeq's `options`, under `stepping="torchdiffeq"`; each means what it means there.

    Args:
      first_step: size of the first step, > 0; None to choose it (Hairer, Nørsett and Wanner 1993,
        II.4).
      min_step: smallest step, ≥ 0; a step of this size is accepted whatever its error.
      max_step: largest step, > `min_step`.
      safety: factor of the step size that the error suggests, > 0.
      ifactor: largest factor between two step sizes, ≥ 1.
      dfactor: smallest, 0 to 1.
      norm: of a state's scaled error, a function state → number; None for the largest RMS of the
        state's parts.
      rtol: relative tolerance in place of the config's: a number, or a pytree that is a prefix of
        the state, whose arrays broadcast against its parts.
      atol: absolute tolerance, likewise.
      step_t: times at which a step has to end.
      jump_t: times at which the field jumps: a step ends there, and the next begins with the
        field evaluated just behind.
      grid_constructor: of a fixed grid, in place of `step_size`: (field, z0, ts) → times.
      interp: between the steps of a fixed grid: "linear", or "cubic" (Hermite).
      perturb: whether a fixed step evaluates the field just behind its start and just before its
        end.
      first_step_gradient: whether exact gradients include the derivative through the size of the
        first step, as torchdiffeq's do. False leaves it out and saves its two evaluations and their
        pullbacks.
      backward: options of the backward solve (`adjoint_options`); None for these without `norm` and
        tolerances.

    Raises:
      ConfigError: a value outside its range.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxode import SolveConfig
      >>> from jaxode.ode import StepOptions, odeint
      >>> config = SolveConfig("dopri5", stepping="torchdiffeq")
      >>> options = StepOptions(first_step=0.25, max_step=0.25)
      >>> _, stats = odeint(lambda t, z, a: -z, jnp.ones(1), None, config, options=options)
      >>> int(stats.accepted), int(stats.nfe)
      (4, 25)
    """

    first_step: float | None = None
    min_step: float = 0.0
    max_step: float = math.inf
    safety: float = 0.9
    ifactor: float = 10.0
    dfactor: float = 0.2
    norm: Callable[[PyTree], Array] | None = None
    rtol: Tolerance = None
    atol: Tolerance = None
    step_t: Sequence[float] | np.ndarray = ()
    jump_t: Sequence[float] | np.ndarray = ()
    grid_constructor: GridConstructor | None = None
    interp: Literal["linear", "cubic"] = "linear"
    perturb: bool = False
    first_step_gradient: bool = True
    backward: StepOptions | None = None

    def __post_init__(self) -> None:
        first = self.first_step is None or 0 < self.first_step < math.inf
        _require(first, "first_step", self.first_step, "a positive number")
        _require(0 <= self.min_step < math.inf, "min_step", self.min_step, "0 or more")
        _require(self.max_step > self.min_step, "max_step", self.max_step, "more than min_step")
        _require(0 < self.safety < math.inf, "safety", self.safety, "a positive number")
        _require(self.ifactor >= 1, "ifactor", self.ifactor, "1 or more")
        _require(0 < self.dfactor <= 1, "dfactor", self.dfactor, "more than 0, at most 1")
        interp = self.interp in ("linear", "cubic")
        _require(interp, "interp", self.interp, "linear or cubic")
        for name in ("rtol", "atol"):
            for leaf in jax.tree.leaves(getattr(self, name)):
                positive = bool((np.asarray(leaf) > 0).all())
                _require(positive, name, leaf, "positive numbers")
        for name in ("step_t", "jump_t"):
            value = np.asarray(getattr(self, name), np.float64)
            _require(
                value.ndim == 1 and bool(np.isfinite(value).all()), name, value, "finite times"
            )
        both = np.concatenate([np.asarray(self.step_t), np.asarray(self.jump_t)])
        _require(len(np.unique(both)) == len(both), "step_t and jump_t", both, "all different")

    def of_backward_solve(self) -> StepOptions:
        """The options of the backward solve."""
        return self.backward or replace(self, norm=None, rtol=None, atol=None)

    def chosen(self) -> tuple[str, ...]:
        """Names of the options that differ from their defaults."""

        def differs(name: str, default: object) -> bool:
            value = getattr(self, name)
            return len(value) > 0 if name in ("step_t", "jump_t") else value is not default

        return tuple(
            f.name
            for f in fields(self)
            if differs(f.name, f.default) and getattr(self, f.name) != f.default
        )


def _require(true: bool, name: str, value: object, allowed: str) -> None:
    if not true:
        raise ConfigError(f"{name} must be {allowed}, got {value!r}")
