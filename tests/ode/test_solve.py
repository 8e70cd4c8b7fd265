"""Solves against exact answers: values, orders of convergence, gradients in every mode, costs,
failures.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import clear_caches  # not what tests have in its place
from problems import PROBLEMS

from jaxode.checks import ConfigError
from jaxode.config import GRADIENT_FACTS, SolveConfig, modes_where, names_where
from jaxode.ode import SolveError, explain_failure, odeint

SOLVERS = names_where(torchdiffeq_only=False)
"""Those that torchdiffeq alone has are compared with it (`tests/parity/test_plain_defaults.py`)."""

ADAPTIVE = [name for name in SOLVERS if name not in names_where(adaptive=False)]
ORDERS = {"euler": 1, "midpoint": 2, "heun": 2, "heun3": 3, "rk4": 4, "rk4_classic": 4, "bosh3": 3,
          "dopri5": 5, "tsit5": 5, "dopri8": 8, "kvaerno3": 3}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "lower", "weights"),
    [
        ("euler", [[]], [1]),
        ("midpoint", [[], [1 / 2]], [0, 1]),
        ("heun", [[], [1]], [1 / 2, 1 / 2]),
        ("heun3", [[], [1 / 3], [0, 2 / 3]], [1 / 4, 0, 3 / 4]),
        ("rk4", [[], [1 / 3], [-1 / 3, 1], [1, -1, 1]], [1 / 8, 3 / 8, 3 / 8, 1 / 8]),
        ("rk4_classic", [[], [1 / 2], [0, 1 / 2], [0, 0, 1]], [1 / 6, 1 / 3, 1 / 3, 1 / 6]),
        ("bosh3", [[], [1 / 2], [0, 3 / 4]], [2 / 9, 1 / 3, 4 / 9]),
    ],
)
def test_one_step_is_the_methods_formula(name, lower, weights, x64):
    """The two fourth-order methods share an order and differ only in their formulas."""
    field = lambda t, z: np.sin(3 * t) + z * z  # noqa: E731
    h, z0, slopes = 0.5, 0.3, []
    for row in lower:
        stage = z0 + h * sum(a * k for a, k in zip(row, slopes, strict=True))
        slopes.append(field(h * sum(row), stage))
    expected = z0 + h * sum(b * k for b, k in zip(weights, slopes, strict=True))
    z1, _ = odeint(
        lambda t, z, a: jnp.sin(3 * t) + z * z,
        jnp.full(1, z0),
        None,
        SolveConfig(solver=name, step_size=0.5),
        t1=0.5,
    )
    np.testing.assert_allclose(z1, [expected], rtol=1e-14)


def test_every_solver_has_an_order_here():
    assert set(ORDERS) == set(SOLVERS)


@pytest.mark.parametrize("name", SOLVERS)
def test_fixed_steps_converge_at_the_solvers_order(name, x64):
    problem = PROBLEMS[1]
    exact = problem.exact(1.0, problem.z0, problem.args)

    def error(steps: int) -> float:
        config = SolveConfig(solver=name, step_size=1 / steps, rtol=1e-10, atol=1e-10)
        z1, stats = odeint(problem.field, problem.z0, problem.args, config)
        assert int(stats.check().accepted) == steps
        return float(jnp.abs(z1 - exact).max())

    coarse, fine = (2, 4) if name == "dopri8" else (8, 16)
    observed = math.log2(error(coarse) / error(fine))
    assert ORDERS[name] - 0.3 < observed < ORDERS[name] + 1.1


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda p: p.name)
@pytest.mark.parametrize("name", ADAPTIVE)
def test_adaptive_error_follows_the_tolerance(name, problem, x64):
    tolerance = 1e-4 if name in ("midpoint", "heun") else 1e-7
    config = SolveConfig(solver=name, rtol=tolerance, atol=tolerance, max_steps=4000)
    z1, stats = odeint(problem.field, problem.z0, problem.args, config)
    stats.check()
    assert jnp.abs(z1 - problem.exact(1.0, problem.z0, problem.args)).max() < 20 * tolerance


def _gradients(problem, config):
    def loss(z0, args):
        z1, stats = odeint(problem.field, z0, args, config)
        return jnp.sum(z1 * jnp.arange(1.0, z1.size + 1)), stats

    (_, stats), gradients = jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))(
        problem.z0, problem.args
    )
    stats.check()
    return gradients


EXPLICIT = [(problem, name, mode) for problem in PROBLEMS[1:] for name in ("rk4", "dopri5")
            for mode in tuple(GRADIENT_FACTS)]  # fmt: skip
IMPLICIT = [
    (PROBLEMS[2], "kvaerno3", mode)
    for mode in tuple(GRADIENT_FACTS)
    if mode not in modes_where(needs_explicit=True)
]
"""One problem, the one that depends on time: Newton's iteration takes seconds to trace and to
compile.
"""


@pytest.mark.parametrize(
    ("problem", "name", "mode"), EXPLICIT + IMPLICIT, ids=lambda v: getattr(v, "name", v)
)
def test_gradients_match_those_of_the_exact_answer(problem, name, mode, x64):
    step, tolerance = (0.02 if name == "rk4" else None), (1e-6 if name == "kvaerno3" else 1e-8)
    config = SolveConfig(solver=name, step_size=step, rtol=tolerance, atol=tolerance, gradient=mode)

    def exact_loss(z0, args):
        z1 = problem.exact(1.0, z0, args)
        return jnp.sum(z1 * jnp.arange(1.0, z1.size + 1))

    expected = jax.grad(exact_loss, argnums=(0, 1))(problem.z0, problem.args)
    for got, want in zip(_gradients(problem, config), expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=50 * tolerance, atol=50 * tolerance)


@pytest.mark.parametrize("name", ["midpoint", "dopri5"])
def test_checkpointed_and_direct_differentiate_the_same_steps(name, x64):
    problem = PROBLEMS[1]
    pair = [
        _gradients(problem, SolveConfig(solver=name, gradient=g))
        for g in ("checkpointed", "direct")
    ]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-14), *pair)


def test_backward_tolerances_reach_the_backward_solve(x64):
    problem = PROBLEMS[1]
    loose = SolveConfig(
        gradient="backsolve", rtol=1e-9, atol=1e-9, backward_rtol=1e-2, backward_atol=1e-2
    )
    tight = SolveConfig(gradient="backsolve", rtol=1e-9, atol=1e-9)
    exact = SolveConfig(gradient="direct", rtol=1e-9, atol=1e-9)
    reference = _gradients(problem, exact)[1]
    errors = [float(jnp.abs(_gradients(problem, c)[1] - reference).max()) for c in (loose, tight)]
    assert errors[0] > 1e-5 > 1e-7 > errors[1]


@pytest.mark.parametrize(("norm", "stepping"), [("full", "torchdiffeq"), ("seminorm", "diffrax")])
def test_a_backsolve_that_runs_out_of_steps_gives_no_gradient(norm, stepping, x64):
    """The forward solve is easy, the backward one needs more steps than allowed: a number would be
    a wrong gradient.
    """
    problem = PROBLEMS[1]
    settings = {"gradient": "backsolve", "backward_norm": norm, "stepping": stepping}
    good = _gradients(problem, SolveConfig(**settings))
    assert all(bool(jnp.isfinite(g).all()) for g in good)
    short = SolveConfig(**settings, max_steps=16, backward_rtol=1e-12, backward_atol=1e-12)
    assert all(bool(jnp.isnan(g).all()) for g in _gradients(problem, short))


def test_full_norm_and_seminorm_find_the_same_gradient(x64):
    problem = PROBLEMS[3]
    full, semi = (
        _gradients(
            problem, SolveConfig(gradient="backsolve", backward_norm=n, rtol=1e-8, atol=1e-8)
        )
        for n in ("full", "seminorm")
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), full, semi)


@pytest.mark.parametrize(
    ("name", "start", "step"),
    [
        ("midpoint", 2, 2),
        ("heun", 2, 2),
        ("bosh3", 2, 3),
        ("dopri5", 2, 6),
        ("tsit5", 2, 6),
        ("dopri8", 2, 13),
    ],
)
def test_adaptive_nfe_counts_the_steps_tried(name, start, step):
    problem = PROBLEMS[1]
    _, stats = odeint(problem.field, problem.z0, problem.args, SolveConfig(solver=name))
    assert int(stats.nfe) == start + step * int(stats.accepted + stats.rejected)


@pytest.mark.parametrize(
    ("name", "per_step", "extra"),
    [("euler", 1, 0), ("rk4", 4, 0), ("heun", 2, 0), ("dopri5", 6, 1)],
)
def test_fixed_step_nfe(name, per_step, extra):
    problem = PROBLEMS[0]
    _, stats = odeint(
        problem.field, problem.z0, problem.args, SolveConfig(solver=name, step_size=0.3)
    )
    assert [int(v) for v in stats] == [extra + 4 * per_step, 4, 0, 0]


def test_fixed_grid_is_torchdiffeqs(x64):
    """Steps 0, .3, .6, .9 and a shorter last one to 1: Euler on dz/dt = t sums t·h over exactly
    that grid.
    """
    z1, _ = odeint(
        lambda t, z, a: t + 0 * z, jnp.zeros(1), None, SolveConfig(solver="euler", step_size=0.3)
    )
    np.testing.assert_allclose(z1, [0.3 * (0 + 0.3 + 0.6) + 0.1 * 0.9], rtol=1e-14)


@pytest.mark.parametrize(
    "step_size", [0.1, 1 / 3, 1 / 41, 1 / 47]
)  # 41 and 47 steps fall short of 1 by rounding
def test_rounding_adds_no_step_in_float32(step_size):
    _, stats = odeint(
        lambda t, z, a: z, jnp.ones(1), None, SolveConfig(solver="euler", step_size=step_size)
    )
    assert int(stats.accepted) == round(1 / step_size)


def test_time_runs_backward_and_returns_to_the_start(x64):
    problem = PROBLEMS[1]
    config = SolveConfig(rtol=1e-9, atol=1e-9)
    z1, _ = odeint(problem.field, problem.z0, problem.args, config)
    back, stats = odeint(problem.field, z1, problem.args, config, t0=1.0, t1=0.0)
    stats.check()
    np.testing.assert_allclose(back, problem.z0, atol=1e-7)


def test_first_step_depends_on_the_problem():
    """A slow field is crossed in few steps; a first step fixed at 0.01 would need more to grow."""
    _, stats = odeint(lambda t, z, a: 1e-3 * z, jnp.ones(3), None, SolveConfig())
    assert int(stats.accepted) <= 2


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_state_keeps_its_type(dtype, x64):
    z1, stats = odeint(lambda t, z, a: -z, jnp.ones(3, dtype), None, SolveConfig())
    assert z1.dtype == dtype
    assert stats.nfe.dtype == jnp.int32


def test_state_may_be_a_tree():
    z0 = {"a": jnp.ones(2), "b": (jnp.zeros((2, 3)),)}
    z1, _ = odeint(lambda t, z, a: jax.tree.map(lambda leaf: leaf + 1, z), z0, None, SolveConfig())
    np.testing.assert_allclose(z1["b"][0], math.e - 1, rtol=1e-3)


def test_solves_can_be_mapped_over_the_batch():
    z0 = jnp.array([[1.0], [100.0]])
    solve = jax.vmap(
        lambda z: odeint(lambda t, y, a: -y * y, z, None, SolveConfig(rtol=1e-5, atol=1e-5))
    )
    z1, stats = solve(z0)
    np.testing.assert_allclose(z1[:, 0], [0.5, 100 / 101], rtol=1e-3)
    assert int(stats.accepted[1]) > int(stats.accepted[0])


@pytest.mark.parametrize("mode", tuple(GRADIENT_FACTS))
def test_running_out_of_steps_is_reported(mode):
    config = SolveConfig(max_steps=3, rtol=1e-6, atol=1e-6, gradient=mode)
    _, stats = odeint(lambda t, z, a: jnp.cos(50 * t) + z, jnp.ones(2), None, config)
    with pytest.raises(SolveError, match="max_steps"):
        stats.check()


@pytest.mark.parametrize("step_size", [None, 0.25])
@pytest.mark.parametrize("bad", [jnp.nan, jnp.inf])
def test_non_finite_fields_are_reported_at_once(step_size, bad):
    config = SolveConfig(step_size=step_size)
    _, stats = odeint(lambda t, z, a: jnp.where(t > 0.5, bad, z), jnp.ones(2), None, config)
    with pytest.raises(SolveError, match="not finite"):
        stats.check()
    assert int(stats.accepted + stats.rejected) < 60


def test_a_singularity_ends_with_the_step_size(x64):
    """dz/dt = z² from 2 is infinite at t = 1/2."""
    _, stats = odeint(lambda t, z, a: z * z, jnp.array([2.0]), None, SolveConfig(max_steps=4000))
    with pytest.raises(SolveError, match=r"step size|not finite"):
        stats.check()


def test_stiff_problem_needs_few_implicit_steps(x64):
    """Prothero and Robinson (1974): dz/dt = -λ (z - cos t) - sin t, exact answer cos t, λ = 10⁴."""
    field = lambda t, z, a: -1e4 * (z - jnp.cos(t)) - jnp.sin(t)  # noqa: E731
    implicit, explicit = (
        odeint(
            field, jnp.ones(1), None, SolveConfig(solver=s, rtol=1e-5, atol=1e-5, max_steps=8000)
        )
        for s in ("kvaerno3", "dopri5")
    )
    np.testing.assert_allclose(implicit[0], math.cos(1.0), atol=1e-4)
    assert int(implicit[1].accepted) < 50 < 1000 < int(explicit[1].accepted)


@pytest.mark.parametrize("bad", [{"t1": 0.0}, {"z0": jnp.arange(3)}])
def test_bad_input_is_refused(bad):
    arguments = {"z0": jnp.ones(2)} | bad
    with pytest.raises(ConfigError, match=r"t1|floating"):
        odeint(lambda t, z, a: z, arguments.pop("z0"), None, SolveConfig(), **arguments)


@pytest.mark.parametrize("code", [1, 2, 3, 4])
def test_each_failure_says_what_to_change(code):
    assert ":" in explain_failure(code)


@pytest.mark.parametrize("gradient", ["tape", "direct"])
def test_a_float32_solve_leaves_no_rounding_to_later_float64_ones(gradient):
    """JAX 0.10 keeps the float32 form of NumPy arrays that programs close over."""
    config = SolveConfig(
        stepping="torchdiffeq", gradient=gradient, rtol=1e-2, atol=1e-2, max_steps=64
    )

    def answer(dtype):
        z0 = jnp.linspace(0.3, 2, 5, dtype=dtype)
        return jax.jit(
            lambda z: odeint(lambda t, z, _: jnp.sin(3 * z) * (1 + t), z, None, config)[0]
        )(z0)

    with jax.enable_x64(True):
        clear_caches()
        alone = answer("float64")
    clear_caches()
    answer("float32")
    with jax.enable_x64(True):
        np.testing.assert_allclose(answer("float64"), alone, rtol=1e-14)
