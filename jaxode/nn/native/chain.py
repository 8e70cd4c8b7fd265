"""A chain of pre-activation units as one call: the field of an ODE block, and a residual block.

Each unit is group norm, ReLU and a 3x3 convolution with padding 1, of z or of a channel of times
and z (`jaxode.nn.layers.TimeConv`). One or two units are followed by nothing, a group norm, or the
sum with the chain's input.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Float

from jaxode.nn.convolution import matmul_any_mode
from jaxode.nn.native.calls import Arguments, Handler, Shapes, call
from jaxode.nn.native.derivatives import differentiable, with_derivatives
from jaxode.nn.native.limits import accepts_map, are_float32
from jaxode.nn.normalization import Channels, group_norm_any_mode
from jaxode.ode.residuals import SAVE_FOR_BACKWARD
from jaxode.types import Kernel, Maps

Times = Float[Array, " T"]
"""One time for all images (T = 1), or one for each (T = B)."""


class Unit(NamedTuple):
    """Parameters of a group norm and of the convolution after it.

    `shift` is the convolution's bias, in a chain with times.
    """

    scale: Channels
    bias: Channels
    kernel: Kernel
    shift: Channels | None = None


class Tail(NamedTuple):
    """Parameters of the group norm at the end."""

    scale: Channels
    bias: Channels


class Settings(NamedTuple):
    """Static settings of a chain: groups and eps of the norms, and whether the input is added."""

    groups: int
    eps: float
    residual: bool


MOST_UNITS = 2
"""Most units of a native chain, `kUnits` of `cpp/chain.h`."""

Parameters = tuple[tuple[Unit, ...], Tail | None]
Saved = tuple[Times | None, Maps, Parameters, list[Maps], list[Kernel]]
"""Inputs, outputs of convolutions, and kernels with input and output channels exchanged."""

Cotangents = tuple[Times | None, Maps, Parameters]
"""Cotangents of times, maps and parameters."""


def chain(
    times: Times | None, z: Maps, units: tuple[Unit, ...], tail: Tail | None, settings: Settings
) -> Maps:
    """One or two pre-activation units, fused; reverse mode only.

    Args:
      times: of the channel of times; None for units without one.
      z: float32 [B, H, W, C], C a multiple of 8.
      units: one or two.
      tail: the group norm at the end, or None.
      settings: see `Settings`.

    Returns:
      [B, H, W, C].

    Raises:
      ValueError: there is no native call (`fits`).
    """
    if not fits(times, z, units, tail):
        raise ValueError(
            f"a chain has 1 or {MOST_UNITS} units and float32 maps of a multiple of 8 channels,"
            f" got {len(units)} units and {z.dtype} maps {list(z.shape[1:])}"
        )
    return _chain(settings, times, z, (units, tail))


def fits(times: Times | None, z: Maps, units: tuple[Unit, ...], tail: Tail | None) -> bool:
    """Whether there is a native call for a chain, with the arguments of `chain`."""
    parameters = (array for part in (*units, tail or ()) for array in part)
    return (
        1 <= len(units) <= MOST_UNITS
        and accepts_map(*z.shape[1:])
        and are_float32((times, z, *parameters))
    )


def reference(settings: Settings, times: Times | None, z: Maps, parameters: Parameters) -> Maps:
    """`chain` in XLA's operations, with derivatives of every kind and type."""
    return _reference_outputs(settings, times, z, parameters)[0]


def _reference_outputs(
    settings: Settings, times: Times | None, z: Maps, parameters: Parameters
) -> list[Maps]:
    """The chain's output and those of its convolutions."""
    units, tail = parameters
    out, outputs = z, []
    for unit in units:
        out = jax.nn.relu(
            group_norm_any_mode(out, unit.scale, unit.bias, settings.groups, settings.eps)
        )
        skip = 0 if times is None else 1
        shift: Float[Array, "T H W C"] | int = 0
        if times is not None:
            assert unit.shift is not None
            plane = matmul_any_mode(
                jnp.ones((1, *z.shape[1:3], 1), z.dtype), unit.kernel[:, :, :1], 1, 1
            )
            shift = times[:, None, None, None] * plane + unit.shift
        out = matmul_any_mode(out, unit.kernel[:, :, skip:], 1, 1) + shift
        outputs.append(out)
    if tail is not None:
        out = group_norm_any_mode(out, tail.scale, tail.bias, settings.groups, settings.eps)
    return [out + z if settings.residual else out, *outputs]


def _handler(
    target: str,
    settings: Settings,
    parameters: Parameters,
    *,
    image_results: Shapes,
    sums: Shapes = (),
    flags: Mapping[str, bool] | None = None,
) -> Handler:
    units, tail = parameters
    attributes = {
        "groups": np.int64(settings.groups),
        "eps": np.float32(settings.eps),
        "units": np.int64(len(units)),
        "tail": np.int64(2 if settings.residual else 0 if tail is None else 1),
        **(flags or {}),
    }
    return Handler(target, tuple(attributes.items()), image_results, sums, timed=True)


def _present(*values: Array | None) -> list[Array]:
    return [value for value in values if value is not None]


def _saved_outputs(parameters: Parameters) -> int:
    """Number of convolutions whose outputs a gradient needs: all but the chain's output."""
    units, tail = parameters
    return len(units) - (tail is None)


def _call(
    static: tuple[Settings, bool], arrays: tuple[Times | None, Maps, Parameters]
) -> list[Maps]:
    """The chain's output and, with `keep`, those of its convolutions."""
    (settings, keep), (times, z, parameters) = static, arrays
    maps = 1 + _saved_outputs(parameters) * keep
    handler = _handler(
        "chain",
        settings,
        parameters,
        image_results=(z.shape[1:],) * maps,
        flags={"keep": keep},
    )
    shared = tuple(
        _present(*(array for unit in parameters[0] for array in unit), *(parameters[1] or ()))
    )
    return list(call(handler, Arguments(times, (z,), shared)).images)


def _reference_call(
    static: tuple[Settings, bool], arrays: tuple[Times | None, Maps, Parameters]
) -> list[Maps]:
    (settings, keep), parameters = static, arrays[2]
    return _reference_outputs(settings, *arrays)[: 1 + _saved_outputs(parameters) * keep]


_forward = with_derivatives(_call, _reference_call)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _chain(settings: Settings, times: Times | None, z: Maps, parameters: Parameters) -> Maps:
    return _forward((settings, False), (times, z, parameters))[0]


def _chain_forward(
    settings: Settings, times: Times | None, z: Maps, parameters: Parameters
) -> tuple[Maps, Saved]:
    out, *outputs = _forward((settings, True), (times, z, parameters))
    outputs = [checkpoint_name(each, SAVE_FOR_BACKWARD) for each in outputs]
    skip = 0 if times is None else 1
    # A function of the parameters alone, which a solve evaluates once.
    exchanged = [unit.kernel[:, :, skip:].transpose(0, 1, 3, 2) for unit in parameters[0]]
    return out, (times, z, parameters, outputs, exchanged)


def _call_gradient(settings: Settings, saved: Saved, slope: Maps) -> Cotangents:
    times, z, parameters, outputs, exchanged = saved
    units, tail = parameters
    shared = []
    for unit, kernel in zip(units, exchanged, strict=True):
        shared += [
            unit.scale,
            unit.bias,
            kernel,
            *_present(None if times is None else unit.kernel[:, :, 0]),
        ]
    shared += _present(tail and tail.scale)
    sums = _present(*(array for unit in units for array in unit), *(tail or ()))
    handler = _handler(
        "chain_gradient",
        settings,
        parameters,
        image_results=(z.shape[1:],),
        sums=tuple(array.shape for array in sums),
    )
    results = call(handler, Arguments(times, (z, *outputs, slope), tuple(shared)))
    to_parameters = (array[0] for array in results.sums)  # of the only example
    to_units = tuple(
        Unit._make(None if each is None else next(to_parameters) for each in unit) for unit in units
    )
    to_tail = None if tail is None else Tail(next(to_parameters), next(to_parameters))
    return results.times, results.images[0], (to_units, to_tail)


def _reference_gradient(settings: Settings, saved: Saved, slope: Maps) -> Cotangents:
    return jax.vjp(functools.partial(reference, settings), *saved[:3])[1](slope)


_gradient = differentiable(_call_gradient, _reference_gradient)
_chain.defvjp(_chain_forward, _gradient)
