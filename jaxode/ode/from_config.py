"""From a SolveConfig to the step-size controller of a solve, and the number of its steps."""

from __future__ import annotations

import math

import jax.numpy as jnp
import numpy as np

from jaxode.checks import ConfigError
from jaxode.config import SolveConfig
from jaxode.ode.fixed_grid import FixedGrid, grid_steps
from jaxode.ode.options import GridConstructor, StepOptions
from jaxode.ode.step_control import Controller
from jaxode.ode.stepsize import Adaptive, Norm
from jaxode.ode.times import Span
from jaxode.ode.torchdiffeq_steps import ErrorControl, Grid, points_of
from jaxode.types import EndTime, Index, NumpyTime


def most_steps(config: SolveConfig, span: Span) -> int:
    """Most steps of a solve with adaptive steps.

    In proportion to a span longer than 1; where the times are not known yet, as many for each
    output.
    """
    if not span.known:
        return config.max_steps * span.outputs.shape[0]
    return math.ceil(config.max_steps * max(1.0, float(np.max(span.end))))


def forward_controller(
    config: SolveConfig, span: Span, norm: Norm, end: NumpyTime | None = None
) -> tuple[int, Controller]:
    """Most steps of a solve with Diffrax's stepping, and the controller of their sizes.

    Args:
      config: tolerances, or a step size.
      span: start, direction and output times.
      norm: of an adaptive step's scaled error.
      end: s of the end, if Diffrax receives a later time.
    """
    if config.step_size is None:
        return most_steps(config, span), Adaptive(config.rtol, config.atol, norm, end)
    controller = FixedGrid(config.step_size)
    if not span.known:
        return most_steps(config, span), controller
    return grid_steps(config.step_size, float(np.max(span.end))), controller


def torchdiffeq_controller(
    config: SolveConfig, span: Span, options: StepOptions, norm: Norm
) -> tuple[Controller, int | Index | None]:
    """The controller of step sizes with torchdiffeq's stepping, and a fixed grid's number of steps.

    Args:
      config: tolerances, or a step size.
      span: start, direction and output times.
      options: torchdiffeq's.
      norm: of a state.

    Raises:
      ConfigError: a step size beside a grid, or a grid that does not run from the start to the end.
    """
    if config.adaptive:
        stops = span.since_start([*options.step_t, *options.jump_t])
        rtol = config.rtol if options.rtol is None else options.rtol
        atol = config.atol if options.atol is None else options.atol
        return ErrorControl(rtol, atol, norm, options, stops), None
    if options.grid_constructor is not None:
        if config.step_size is not None:
            raise ConfigError("step_size must be left out beside grid_constructor")
        return _of_points(_grid_of(options.grid_constructor, span))
    if config.step_size is None:
        return _of_points(jnp.concatenate([jnp.zeros_like(span.outputs[:1]), span.outputs]))
    steps, point = points_of(config.step_size, span.end)
    return Grid(steps, point), steps


def _of_points(points: EndTime) -> tuple[Grid, int]:
    grid = jnp.asarray(points)
    steps = grid.shape[0] - 1
    return Grid(steps, lambda k: grid[jnp.minimum(k, steps)]), steps


def _grid_of(constructor: GridConstructor, span: Span) -> EndTime:
    outputs = span.outputs if span.outputs.ndim == 1 else span.outputs[:, 0]
    ts = span.clock(jnp.concatenate([jnp.zeros_like(outputs[:1]), jnp.asarray(outputs)]))
    points = constructor(None, None, ts)
    if not span.known:
        return (jnp.asarray(points) - span.t0) * span.sign
    grid = np.asarray(span.since_start(points), span.outputs.dtype)
    if grid.ndim != 1 or len(grid) < 2 or grid[0] != 0 or grid[-1] != np.asarray(span.end):
        raise ConfigError(
            "grid_constructor must return times from the first of ts to the last, got"
            f" {np.array2string(np.asarray(points), threshold=8)}"
        )
    return grid  # type: ignore[return-value]
