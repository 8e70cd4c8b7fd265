"""The same flow in both frameworks: fields of equal weights, torchdiffeq's stepping."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import torch
from flax import nnx

from jaxode import SolveConfig
from jaxode.models import ContinuousFlow
from jaxode.nn import ConcatSquashField, HyperField
from torch_ref import cnf


def copied(linear, theirs):
    """Set an nnx layer's weights to a torch layer's."""
    linear.kernel[...] = jnp.asarray(theirs.weight.detach().numpy().T)
    linear.bias[...] = jnp.asarray(theirs.bias.detach().numpy())


def layers(name, mine, theirs):
    """Pairs of an nnx parameter and torch's of the same numbers, with what transposes them."""
    found = []

    def linear(one, other):
        found.extend([(one.kernel, other.weight, True), (one.bias, other.bias, False)])

    if name == "hypernetwork":
        for k in (1, 2, 3):
            linear(getattr(mine, f"linear{k}"), getattr(theirs, f"linear{k}"))
        return found
    for one, other in zip(mine.layers, theirs.layers, strict=True):
        linear(one.linear, other.linear)
        found.append((one.gate, other.gate.weight, None))
        found.append((one.gate_bias, other.gate.bias, False))
        found.append((one.time_bias, other.time_bias.weight, None))
    return found


def as_mine(array, turned):
    """An array of torch's as the nnx parameter has it."""
    array = array.detach().numpy()
    return array.T if turned else array[:, 0] if turned is None else array


def pair(name, gradient, times=(10.0, 0.0), solve=None):
    """A flow of jaxode and torch's, in float64, and the pairs of their parameters."""
    torch.manual_seed(0)
    if name == "hypernetwork":
        theirs, mine = (
            cnf.HyperField(2).double(),
            HyperField(2, rngs=nnx.Rngs(0), dtype=jnp.float64),
        )
    else:
        theirs = cnf.ConcatSquashField(2, (16, 16)).double()
        mine = ConcatSquashField(2, (16, 16), rngs=nnx.Rngs(0), dtype=jnp.float64)
    for one, other, turned in layers(name, mine, theirs):
        one[...] = jnp.asarray(as_mine(other, turned))
    config = SolveConfig(
        "dopri5", rtol=1e-5, atol=1e-5, gradient=gradient, stepping="torchdiffeq", **(solve or {})
    )
    flow = ContinuousFlow(mine, 2, config, data_time=times[0], base_time=times[1], variance=0.1)
    other = cnf.Flow(
        theirs, data_time=times[0], base_time=times[1], adjoint=gradient == "backsolve"
    )
    return flow, other


def circles(count, rng):
    """Points of cnf.py's target: two circles with noise."""
    angles, outer = rng.uniform(0, 2 * np.pi, count), np.arange(count) % 2 == 0
    radius = np.where(outer, 1.0, 0.5)[:, None]
    points = radius * np.stack([np.cos(angles), np.sin(angles)], 1)
    return points + rng.normal(scale=0.06, size=points.shape)
