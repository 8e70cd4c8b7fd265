"""Tests run with the annotated shapes of the solve layer checked: a wrong one is an error."""

from __future__ import annotations

import jax.numpy as jnp
import pytest
from jaxtyping import TypeCheckError

from jaxode.config import SolveConfig
from jaxode.ode import odeint
from jaxode.ode.buffers import broadcast_time, write
from jaxode.ode.runge_kutta import combine

pytestmark = pytest.mark.typed


def test_increments_shaped_unlike_the_state_are_caught():
    """Without the check the sum would broadcast, and be of another shape."""
    y, ks = {"x": jnp.zeros(3), "y": jnp.zeros((1, 2))}, {"x": jnp.ones((2, 3))}
    weights = jnp.ones(2)
    right = combine(y, weights, {**ks, "y": jnp.ones((2, 1, 2))})
    assert right["y"].shape == (1, 2)
    with pytest.raises(TypeCheckError, match="parameter 'ks'"):
        combine(y, weights, {**ks, "y": jnp.ones((2, 4, 2))})
    with pytest.raises(TypeCheckError, match="parameter 'ks'"):
        combine(y, weights, ks)
    with pytest.raises(TypeCheckError, match="parameter 'ks'"):
        combine(y, jnp.ones(3), {**ks, "y": jnp.ones((2, 1, 2))})


def test_a_value_unlike_those_of_its_buffer_is_caught():
    with pytest.raises(TypeCheckError, match="parameter 'values'"):
        write(jnp.zeros((4, 3)), jnp.ones(1), 0)


def test_a_state_of_whole_numbers_is_caught_inside_and_refused_outside():
    with pytest.raises(TypeCheckError, match="parameter 'z'"):
        broadcast_time(jnp.zeros(()), jnp.zeros(3, jnp.int32))
    with pytest.raises(ValueError, match="one floating-point type"):
        odeint(lambda t, z, a: z, jnp.zeros(3, jnp.int32), None, SolveConfig())
