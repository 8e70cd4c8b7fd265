"""Each gradient mode has the derivatives that it defines, and names the mode for others."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxode.config import GRADIENT_FACTS, SolveConfig
from jaxode.ode import odeint

RATE = 0.7
Z0 = jnp.array([1.0, -2.0])
REFUSING = [name for name, facts in GRADIENT_FACTS.items() if not facts.any_derivative]
FORWARD = "derivatives in reverse mode only.*need gradient mode direct"
SECOND = "first derivatives only.*needs gradient mode direct"


def energy(mode, stepping="diffrax"):
    """z0, rate → |z(1)|², by two Euler steps, which compile at once."""
    config = SolveConfig("euler", step_size=0.5, gradient=mode, stepping=stepping)

    def of(z0, rate=RATE):
        return jnp.sum(odeint(lambda t, z, a: -a * z, z0, rate, config)[0] ** 2)

    return of


@pytest.mark.parametrize("stepping", ["diffrax", "torchdiffeq"])
@pytest.mark.parametrize("mode", REFUSING)
def test_other_derivatives_are_refused_in_one_sentence(mode, stepping):
    of, tangent = energy(mode, stepping), jnp.ones(2)
    in_forward_mode = {
        "jvp": lambda: jax.jvp(of, (Z0,), (tangent,)),
        "compiled": lambda: jax.jit(lambda z: jax.jvp(of, (z,), (tangent,)))(Z0),
        "of what is compiled": lambda: jax.jvp(jax.jit(of), (Z0,), (tangent,)),
        "linearize": lambda: jax.linearize(of, Z0)[1](tangent),
        "of the rate": lambda: jax.jacfwd(of, argnums=1)(Z0, jnp.array(RATE)),
    }
    of_second_order = {
        "grad of grad": lambda: jax.grad(lambda z: jnp.sum(jax.grad(of)(z)))(Z0),
        "hessian": lambda: jax.hessian(of)(Z0),
    }
    for words, works in ((FORWARD, in_forward_mode), (SECOND, of_second_order)):
        for work in works.values():
            with pytest.raises(ValueError, match=f"gradient mode {mode} has {words}"):
                work()


def test_direct_has_every_derivative(x64):
    z0, factor = jnp.asarray(np.array([1.0, -2.0])), (1 - 0.5 * RATE) ** 2
    of = energy("direct")
    hessian = jax.jit(jax.hessian(of))(z0)
    np.testing.assert_allclose(hessian, 2 * factor**2 * np.eye(2), rtol=1e-12)
    mixed = jax.jit(jax.jacfwd(jax.grad(of), argnums=1))(z0, jnp.array(RATE))
    wanted = 2 * z0 * 2 * factor * -(1 - 0.5 * RATE)
    np.testing.assert_allclose(mixed, wanted, rtol=1e-12)


@pytest.mark.parametrize("mode", REFUSING)
def test_reverse_mode_goes_with_jit_vmap_checkpoint_and_scan(mode, x64):
    of, z0 = energy(mode, "torchdiffeq"), jnp.asarray(np.array([1.0, -2.0]))
    batch, factor = jnp.stack([z0, 2 * z0]), (1 - 0.5 * RATE) ** 2
    each = jax.jit(jax.vmap(jax.grad(jax.checkpoint(of))))(batch)
    np.testing.assert_allclose(each, 2 * factor**2 * batch, rtol=1e-12)

    def twice(z0):
        return jax.lax.scan(lambda sum_, z: (sum_ + of(z), None), 0.0, jnp.stack([z0, z0]))[0]

    gradient = jax.jit(jax.grad(twice))(z0)
    np.testing.assert_allclose(gradient, 4 * factor**2 * z0, rtol=1e-12)
