"""What an adjoint solve measures its error by: each part of its state counts, or does not, as
documented.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from jaxode.ode import backsolve_norms
from jaxode.ode.adjoint_state import AdjointState, adjoint_norm
from jaxode.ode.norms import largest_rms_norm

pytestmark = pytest.mark.typed

SIZES = {"state": 3, "adjoint": 3, "weight": 7, "bias": 2}


def adjoint_state(large):
    """As Diffrax passes it, with a clock and encoded inputs; all parts are 1 but the one named,
    which is 10, and those that no norm sees, 1000.
    """
    z, a_z, weight, bias = (
        jnp.full(n, 10.0 if name == large else 1.0) for name, n in SIZES.items()
    )
    clock = jnp.asarray(1000.0)
    return (z, clock), (a_z, clock), (({"w": weight, "b": bias}, {"n": clock}), clock), jnp.zeros(0)


def pooled(large, *counted):
    squares = sum(SIZES[name] * (100.0 if name == large else 1.0) for name in counted)
    return np.sqrt(squares / sum(SIZES[name] for name in counted))


@pytest.mark.parametrize("large", ["state", "adjoint", "weight", "bias", "time"])
def test_torchdiffeqs_norms_are_the_largest_of_their_parts(large):
    (z, _), (a_z, _), ((params, _), _), _ = adjoint_state(large)
    time = jnp.asarray(-10.0 if large == "time" else 1.0)
    state = AdjointState(time, (z, jnp.ones(50)), (a_z, jnp.ones(50)), list(params.values()))
    assert adjoint_norm(largest_rms_norm, state, seminorm=False) == pytest.approx(10)
    expected = 1 if large in ("weight", "bias") else 10
    assert adjoint_norm(largest_rms_norm, state, seminorm=True) == pytest.approx(expected)


@pytest.mark.parametrize("large", SIZES)
def test_diffraxs_norms_pool_their_parts(large):
    state = adjoint_state(large)
    assert backsolve_norms.pooled_norm(state) == pytest.approx(pooled(large, *SIZES))
    assert backsolve_norms.pooled_seminorm(state) == pytest.approx(
        pooled(large, "state", "adjoint")
    )
    assert backsolve_norms.forward_norm(state[0]) == pytest.approx(10 if large == "state" else 1)
