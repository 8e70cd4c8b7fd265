"""What an adjoint solve measures its error by: each part of its state counts, or does not, as
documented.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from jaxode.ode import compat

SIZES = {"state": 3, "adjoint": 3, "weight": 7, "bias": 2}


def adjoint_state(large):
    """As Diffrax passes it, with a clock; all parts are 1 but the one named, which is 10, and
    the clock's, 1000.
    """
    z, a_z, weight, bias = (
        jnp.full(n, 10.0 if name == large else 1.0) for name, n in SIZES.items()
    )
    clock, shift = jnp.asarray(1000.0), jnp.asarray(10.0 if large == "shift" else 1.0)
    return (z, clock), (a_z, clock), (({"w": weight, "b": bias}, shift), clock), jnp.zeros(0)


def pooled(large, *counted):
    squares = sum(SIZES[name] * (100.0 if name == large else 1.0) for name in counted)
    return np.sqrt(squares / sum(SIZES[name] for name in counted))


@pytest.mark.parametrize("large", ["state", "adjoint", "weight", "bias", "shift"])
def test_torchdiffeqs_norms_are_the_largest_of_their_parts(large):
    state = adjoint_state(large)
    assert compat.mixed_norm(state) == pytest.approx(10)
    assert compat.mixed_seminorm(state) == pytest.approx(1 if large in ("weight", "bias") else 10)


@pytest.mark.parametrize("large", SIZES)
def test_diffraxs_norms_pool_their_parts(large):
    z, a_z, ((params, _), clock), terms = adjoint_state(large)
    state = z, a_z, (params, clock), terms
    assert compat.pooled_norm(state) == pytest.approx(pooled(large, *SIZES))
    assert compat.pooled_seminorm(state) == pytest.approx(pooled(large, "state", "adjoint"))
    assert compat.forward_norm(z) == pytest.approx(10 if large == "state" else 1)
