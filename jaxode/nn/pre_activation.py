"""Pre-activation layers applied one after the other, by fused native calls where they fit."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jaxode.nn.kernels import Chain
from jaxode.nn.layers import NORM_EPS, Conv, GroupNorm, TimeConv
from jaxode.nn.native import chain
from jaxode.types import Maps, Time


def pre_activations(
    fused: Chain | None,
    t: Time | float,
    z: Maps,
    layers: Sequence[tuple[GroupNorm, TimeConv]],
    last: GroupNorm | None = None,
) -> Maps:
    """Norm · ReLU · convolution for each layer, and a norm at the end.

    Args:
      fused: of the kernels; None to apply the parts one by one.
      t: time, a scalar or [B, 1, 1, 1].
      z: [B, H, W, C].
      layers: a norm and a convolution each, all of C channels.
      last: the norm at the end, or None.

    Returns:
      [B, H, W, C].
    """
    size = chain.MOST_UNITS
    for start in range(0, len(layers), size):
        ends = start + size >= len(layers)
        z = _applied(fused, t, z, layers[start : start + size], last if ends else None)
    return z


def residual_pre_activations(
    fused: Chain | None, z: Maps, layers: Sequence[tuple[GroupNorm, Conv]]
) -> Maps:
    """The sum of z [B, H, W, C] and of one or two layers without time applied to z."""
    return _applied(fused, None, z, layers, None, residual=True)


def _applied(
    fused: Chain | None,
    t: Time | float | None,
    z: Maps,
    layers: Sequence[tuple[GroupNorm, TimeConv | Conv]],
    last: GroupNorm | None,
    residual: bool = False,
) -> Maps:
    """At most `chain.MOST_UNITS` layers: one native call where it fits, else their parts."""
    if fused is not None:
        times = None if t is None else jnp.asarray(t, z.dtype).reshape(-1)
        units = tuple(_unit(*layer) for layer in layers)
        tail = None if last is None else chain.Tail(last.scale[...], last.bias[...])
        if chain.fits(times, z, units, tail):
            settings = chain.Settings(layers[0][0].groups, NORM_EPS, residual)
            return fused(times, z, units, tail, settings)
    out = z
    for norm, conv in layers:
        out = jax.nn.relu(norm(out))
        if isinstance(conv, TimeConv):
            assert t is not None
            out = conv(t, out)
        else:
            out = conv(out)
    out = out if last is None else last(out)
    return z + out if residual else out


def _unit(norm: GroupNorm, conv: TimeConv | Conv) -> chain.Unit:
    """The parameters of a group norm, and of the convolution after it and a ReLU."""
    shift = None if conv.bias is None else conv.bias[...]
    return chain.Unit(norm.scale[...], norm.bias[...], conv.kernel[...], shift)
