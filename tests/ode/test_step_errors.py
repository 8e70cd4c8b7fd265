"""The sum of the steps' error estimates: its value, and its gradient in every mode that has one."""

from __future__ import annotations

import itertools

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import RK45

from jaxode import SolveConfig, odeint
from jaxode.checks import ConfigError
from jaxode.ode import StepOptions, odeint_with_errors
from jaxode.ode.stepsize import Adaptive

Z0 = np.random.default_rng(0).normal(size=(3, 2))
WEIGHTS = np.random.default_rng(1).normal(size=(2, 2))
FINE = {"rtol": 1e-5, "atol": 1e-5, "tape_steps": 2}
SPAN = {"t0": 0.2, "t1": 2.0}


def field(t, z, weights):
    return jnp.tanh(z @ weights) * (1 + jnp.sin(3 * t)) - 0.1 * z


def measure(error):
    """Of each sample; its derivative at zero is finite."""
    return jnp.sqrt(jnp.sum(error**2, 1) + 1e-30)


def objective(config, **also):
    def loss(z0, weights):
        z1, errors, stats = odeint_with_errors(
            field, z0, weights, config, measure=measure, **SPAN, **also
        )
        return jnp.sum(z1**2) + jnp.sum(jnp.array([1e3, 2e3, 3e3]) * errors), (errors, stats)

    return jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True))


def steps_taken():
    """Times of the accepted steps: Diffrax's solve with the same controller."""
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(field), diffrax.Dopri5(), *SPAN.values(), None, jnp.asarray(Z0),
        jnp.asarray(WEIGHTS), saveat=diffrax.SaveAt(steps=True, t0=True),
        stepsize_controller=Adaptive(FINE["rtol"], FINE["atol"]),
    )  # fmt: skip
    times = np.asarray(solution.ts)
    return times[np.isfinite(times)]


def by_hand(times):
    """The objective over given steps, by SciPy's tableau of Dormand and Prince's method."""

    def loss(z, weights):
        errors = jnp.zeros(len(Z0))
        for t, end in itertools.pairwise(times):
            h, ks = end - t, []
            for row, node in zip(RK45.A, RK45.C, strict=True):
                at = z + h * sum((a * k for a, k in zip(row, ks, strict=False)), jnp.zeros_like(z))
                ks.append(field(t + node * h, at, weights))
            z = z + h * sum(b * k for b, k in zip(RK45.B, ks, strict=True))
            ks.append(field(end, z, weights))
            # Shampine's embedded method, Diffrax's and torchdiffeq's, has 2/3 of SciPy's error.
            error = 2 / 3 * h * sum(e * k for e, k in zip(RK45.E, ks, strict=True))
            errors = errors + h * measure(error)
        return jnp.sum(z**2) + jnp.sum(jnp.array([1e3, 2e3, 3e3]) * errors), errors

    return jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True))


@pytest.fixture(scope="module")
def reference():
    with jax.enable_x64(True):
        times = steps_taken()
        assert len(times) > 5  # several segments of the tape
        return by_hand(times)(jnp.asarray(Z0), jnp.asarray(WEIGHTS)), len(times) - 1


@pytest.mark.parametrize("gradient", ["tape", "replay", "direct", "checkpointed"])
def test_value_and_gradient_are_those_of_the_steps_by_hand(gradient, reference, x64):
    ((loss, expected), gradients), count = reference
    work = objective(SolveConfig(gradient=gradient, **FINE))
    (found, (errors, stats)), mine = work(jnp.asarray(Z0), jnp.asarray(WEIGHTS))
    assert int(stats.accepted) == count
    np.testing.assert_allclose(errors, expected, rtol=1e-6)
    np.testing.assert_allclose(found, loss, rtol=1e-9)
    for one, other in zip(mine, gradients, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("gradient", ["tape", "direct"])
def test_the_gradient_is_a_finite_difference_where_steps_are_frozen(gradient, x64):
    loose = {"rtol": 1.0, "atol": 1.0, "tape_steps": 2}  # every step is accepted
    config = SolveConfig("bosh3", gradient=gradient, stepping="torchdiffeq", **loose)
    frozen = StepOptions(first_step=0.25, max_step=0.25)
    work, z0 = objective(config, options=frozen), jnp.asarray(Z0)
    along = jnp.asarray(np.random.default_rng(2).normal(size=WEIGHTS.shape))
    values = [float(work(z0, WEIGHTS + h * along)[0][0]) for h in (1e-4, -1e-4, 5e-5, -5e-5)]
    coarse, fine = (values[0] - values[1]) / 2e-4, (values[2] - values[3]) / 1e-4
    (_, (_, stats)), (_, gradient) = work(z0, jnp.asarray(WEIGHTS))
    assert int(stats.accepted) == 8
    assert float(jnp.vdot(gradient, along)) == pytest.approx((4 * fine - coarse) / 3, rel=1e-8)


@pytest.mark.parametrize("stepping", ["diffrax", "torchdiffeq"])
def test_modes_agree_with_per_sample_steps_and_many_times(stepping, x64):
    ts = jnp.array([0.2, 0.7, 2.0])
    found = {}
    for gradient in ("tape", "replay", "direct"):
        config = SolveConfig("bosh3", gradient=gradient, per_sample=True, stepping=stepping, **FINE)

        def loss(z0, weights, config=config):
            zs, errors, stats = odeint_with_errors(field, z0, ts, weights, config, measure=measure)
            return jnp.sum(zs**2) + 1e3 * jnp.sum(errors), (errors, stats.accepted)

        work = jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True))
        found[gradient] = work(jnp.asarray(Z0), jnp.asarray(WEIGHTS))
    assert len(set(found["tape"][0][1][1].tolist())) > 1
    for other in ("replay", "direct"):
        for one, two in zip(*map(jax.tree.leaves, (found["tape"], found[other])), strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-9, atol=1e-12)


def test_an_infinite_error_of_a_rejected_step_leaves_the_sum_finite(x64):
    """And its gradient: the field overflows behind the end, where the first steps tried reach."""

    config = SolveConfig("bosh3", rtol=1e-3, atol=1e-3, stepping="torchdiffeq")

    def loss(z0):
        _, errors, stats = odeint_with_errors(
            lambda t, z, _: jnp.where(t > 0.9, jnp.inf, -z), z0, None, config,
            measure=measure, t1=0.8, options=StepOptions(first_step=1.0),
        )  # fmt: skip
        return errors.sum(), stats

    (found, stats), slopes = jax.value_and_grad(loss, has_aux=True)(jnp.asarray(Z0))
    assert int(stats.rejected) > 0
    assert 0 < float(found) < 1e-2
    assert jnp.isfinite(slopes).all()


def test_the_states_are_those_of_odeint(x64):
    config = SolveConfig("bosh3", **FINE)
    z1, errors, stats = odeint_with_errors(field, Z0, WEIGHTS, config, measure=measure, **SPAN)
    expected, other = odeint(field, Z0, WEIGHTS, config, **SPAN)
    assert np.asarray(z1).tobytes() == np.asarray(expected).tobytes()
    assert stats == other
    assert errors.shape == (3,)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (SolveConfig("rk4", step_size=0.1), "needs adaptive steps"),
        (SolveConfig("kvaerno3"), "needs an explicit solver, got kvaerno3"),
        (
            SolveConfig(gradient="backsolve"),
            "needs gradient tape, replay, checkpointed or direct, got backsolve, whose backward",
        ),
    ],
)
def test_what_has_no_error_estimates_to_differentiate_is_refused(config, words):
    with pytest.raises(ConfigError, match=words):
        odeint_with_errors(field, Z0, WEIGHTS, config, measure=measure)


def test_traced_times_are_refused():
    def loss(end):
        ts, config = jnp.array([0.0, 1.0]) * end, SolveConfig("bosh3")
        z0, weights = jnp.asarray(Z0, jnp.float32), jnp.asarray(WEIGHTS, jnp.float32)
        return odeint_with_errors(field, z0, ts, weights, config, measure=measure)[1].sum()

    with pytest.raises(ConfigError, match="times that are known"):
        jax.grad(loss)(1.0)
