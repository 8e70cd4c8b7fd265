"""Solvers and gradient modes of a user's own, passed as objects and registered by name."""

from typing import ClassVar

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import optimistix
import pytest

from jaxode.checks import ConfigError
from jaxode.config import GradientFacts, RunConfig, SolveConfig, SolverFacts
from jaxode.ode import odeint
from jaxode.ode.gradients import register_gradient_mode, unregister_gradient_mode
from jaxode.ode.solvers import register_solver, unregister_solver

pytestmark = pytest.mark.typed


class Ralston3(diffrax.AbstractERK):
    """Ralston's method of order 3, which neither Diffrax nor torchdiffeq has."""

    interpolation_cls = diffrax.ThirdOrderHermitePolynomialInterpolation.from_k
    tableau: ClassVar = diffrax.ButcherTableau(
        a_lower=(np.array([1 / 2]), np.array([0.0, 3 / 4])),
        b_sol=np.array([2 / 9, 1 / 3, 4 / 9]),
        b_error=np.zeros(3),
        c=np.array([1 / 2, 3 / 4]),
    )

    def order(self, terms):
        return 3


def kvaerno5(rtol, atol):
    """An implicit solver of Diffrax's that has no name here."""
    return diffrax.Kvaerno5(root_finder=optimistix.Newton(rtol=rtol, atol=atol))


def few_checkpoints(config, max_steps):
    """A gradient mode: recursive checkpoints, three of them."""
    return diffrax.RecursiveCheckpointAdjoint(checkpoints=3)


few_checkpoints.facts = GradientFacts("few_checkpoints", "three checkpoints", in_shards=False)

SOLVES = {
    "explicit, tape": SolveConfig(Ralston3, step_size=0.05),
    "explicit, replay": SolveConfig(Ralston3, step_size=0.05, gradient="replay"),
    "explicit, backsolve": SolveConfig(Ralston3, step_size=0.01, gradient="backsolve"),
    "implicit": SolveConfig(kvaerno5, rtol=1e-6, atol=1e-6),
    "own gradient mode": SolveConfig(rtol=1e-7, atol=1e-7, gradient=few_checkpoints),
    "both": SolveConfig(kvaerno5, rtol=1e-6, atol=1e-6, gradient=few_checkpoints),
}


@pytest.mark.parametrize("name", SOLVES)
def test_an_own_object_solves_and_is_differentiated(name, x64):
    """dz/dt = a z has z(1) = z0 exp(a), whose derivative with respect to a is itself."""
    solve, z0 = SOLVES[name], jnp.array([1.0, 2.0])

    def total(a):
        z1, stats = odeint(lambda t, z, a: a * z, z0, a, solve)
        return z1.sum(), stats

    (value, stats), slope = jax.jit(jax.value_and_grad(total, has_aux=True))(jnp.array(-0.7))
    stats.check()
    exact = 3 * np.exp(-0.7)
    assert float(value) == pytest.approx(exact, rel=1e-5)
    assert float(slope) == pytest.approx(exact, rel=1e-4)
    assert int(stats.nfe) > 0


def test_order_three_halves_the_step_for_an_eighth_of_the_error(x64):
    errors = []
    for size in (0.1, 0.05):
        solve = SolveConfig(Ralston3, step_size=size)
        z1, _ = odeint(lambda t, z, a: a * z, jnp.ones(1), jnp.array(-1.0), solve)
        errors.append(abs(float(z1[0]) - np.exp(-1.0)))
    assert errors[0] / errors[1] == pytest.approx(8, rel=0.1)


def test_facts_of_own_objects_are_read_off_them():
    facts = SOLVES["explicit, tape"].solver_facts
    assert (facts.order, facts.implicit, facts.adaptive) == (3, False, False)
    assert SolveConfig(Ralston3, step_size=0.5).gradient == "tape"
    assert SOLVES["implicit"].solver_facts.implicit
    assert SOLVES["implicit"].gradient == "checkpointed"
    assert SolveConfig(diffrax.Ralston).solver_facts.adaptive
    with pytest.raises(ConfigError, match="Ralston3 has no error estimate: give step_size"):
        SolveConfig(Ralston3)
    with pytest.raises(
        ConfigError, match=r"gradient tape needs an explicit solver, got .*kvaerno5"
    ):
        SolveConfig(kvaerno5, gradient="tape")
    with pytest.raises(ConfigError, match="needs parallel jit"):
        RunConfig(solve=SOLVES["own gradient mode"]).replaced(parallel="pmap")


def test_settings_name_own_objects_by_module_and_name():
    stored = RunConfig(solve=SOLVES["both"]).to_json()["solve"]
    assert stored["solver"].endswith("test_own_objects.kvaerno5")
    assert stored["gradient"].endswith("test_own_objects.few_checkpoints")


def test_what_makes_no_solver_is_refused():
    with pytest.raises(ConfigError, match="gradient must make a Diffrax adjoint, got 3"):
        odeint(lambda t, z, a: z, jnp.ones(1), None, SolveConfig(gradient=lambda *_: 3))
    leapfrog = SolveConfig(diffrax.LeapfrogMidpoint, step_size=0.1, gradient="direct")
    with pytest.raises(ConfigError, match="solver must make a Runge-Kutta method"):
        odeint(lambda t, z, a: z, jnp.ones(1), None, leapfrog)
    with pytest.raises(ConfigError, match="solver must be one of"):
        SolveConfig("ralston3")
    with pytest.raises(ConfigError, match="solver must be"):
        SolveConfig(3)


def test_a_registered_name_is_one_of_the_choices():
    register_solver(SolverFacts("ralston3", "Ralston 3", 3, adaptive=False), Ralston3)
    register_gradient_mode(few_checkpoints.facts, few_checkpoints)
    try:
        solve = SolveConfig("ralston3", step_size=0.1, gradient="few_checkpoints")
        z1, _ = odeint(lambda t, z, a: -z, jnp.ones(1), None, solve)
        assert float(z1[0]) == pytest.approx(np.exp(-1), rel=1e-3)
        with pytest.raises(ConfigError, match="registered already"):
            register_solver(solve.solver_facts, Ralston3)
    finally:
        unregister_solver("ralston3")
        unregister_gradient_mode("few_checkpoints")
    with pytest.raises(ConfigError, match="solver must be one of"):
        SolveConfig("ralston3", step_size=0.1)
