"""Initial value problems with exact answers, over t in [0, 1], with args the parameter vector.

Numbers are NumPy's, so that they take the precision of the test that uses them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np


class Problem(NamedTuple):
    name: str
    field: Callable[[Any, Any, Any], Any]
    z0: Any
    args: Any
    exact: Callable[[Any, Any, Any], Any]
    """t, z0, args → z(t)."""


def _rotate(angle, z):
    c, s = jnp.cos(angle), jnp.sin(angle)
    return jnp.stack([c * z[0] - s * z[1], s * z[0] + c * z[1]])


PROBLEMS = [
    Problem(
        "decay",
        lambda t, z, a: -a * z,
        np.array([1.0, -2.0]),
        np.array([1.5, 0.5]),
        lambda t, z, a: z * jnp.exp(-a * t),
    ),
    Problem(
        "rotation",
        lambda t, z, a: a[0] * jnp.stack([-z[1], z[0]]),
        np.array([1.0, 0.5]),
        np.array([3.0]),
        lambda t, z, a: _rotate(a[0] * t, z),
    ),
    Problem(
        "forced",
        lambda t, z, a: a * jnp.cos(t) + 0 * z,
        np.array([0.25]),
        np.array([2.0]),
        lambda t, z, a: z + a * jnp.sin(t),
    ),
    Problem(
        "logistic",
        lambda t, z, a: a * z * (1 - z),
        np.array([0.2, 0.7]),
        np.array([2.0, 1.0]),
        lambda t, z, a: z * jnp.exp(a * t) / (1 + z * (jnp.exp(a * t) - 1)),
    ),
]
