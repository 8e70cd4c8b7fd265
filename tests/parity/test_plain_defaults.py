"""Plain torchdiffeq, without options chosen for the comparison: the same numbers and counts."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

torch = pytest.importorskip("torch")
torchdiffeq = pytest.importorskip("torchdiffeq")

from jaxode.config import SolveConfig  # noqa: E402
from jaxode.ode import BackwardCost, StepOptions, odeint, odeint_event  # noqa: E402

RNG = np.random.default_rng(0)
INNER, OUTER, START = RNG.normal(size=(5, 4)), RNG.normal(size=(4, 5)), RNG.normal(size=(3, 4))
START[1, 2] = 0.0  # where |z|, by which a tolerance is scaled, has no derivative
RISING, FALLING, ONE = [0.0, 0.3, 0.31, 1.2], [1.0, 0.2, -1.0], [0.0, 1.0]
STOPS = torch.tensor([0.4, 0.9], dtype=torch.float64)
EXACT, ADJOINT, OUTPUT = 1e-10, 1e-9, 1e-11


def slope(t, z, weights):
    return jnp.tanh(z @ weights[0].T + jnp.sin(3 * t)) @ weights[1].T


class Field(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.outer = (torch.nn.Parameter(torch.tensor(w)) for w in (INNER, OUTER))
        self.nfe = 0

    def forward(self, t, z):
        self.nfe += 1
        return torch.tanh(z @ self.inner.T + torch.sin(3 * t)) @ self.outer.T


def theirs(ts, adjoint, weights, **kwargs):
    """Outputs, evaluations forward and backward, and gradients of start, parameters and times."""
    field, z0 = Field(), torch.tensor(START, requires_grad=True)
    t = torch.tensor(ts, dtype=torch.float64, requires_grad=True)
    solve = torchdiffeq.odeint_adjoint if adjoint else torchdiffeq.odeint
    zs = solve(field, z0, t, **kwargs)
    forward = field.nfe
    (zs * torch.tensor(weights)).sum().backward()
    gradients = [x.grad.numpy() for x in (z0, field.inner, field.outer, t)]
    return zs.detach().numpy(), forward, field.nfe - forward, gradients


def ours(ts, weights, config, options=None):
    @jax.jit
    def run(z0, parameters, ts, cost):
        def loss(z0, parameters, ts, cost):
            zs, stats = odeint(
                slope, z0, ts, parameters, config, options=options, backward_cost=cost
            )
            return (zs * weights).sum(), (zs, stats)

        return jax.grad(loss, argnums=(0, 1, 2, 3), has_aux=True)(z0, parameters, ts, cost)

    cost = BackwardCost(*jnp.zeros(3)) if config.gradient == "backsolve" else None
    (to_z0, to_parameters, to_ts, cost), (zs, stats) = run(
        jnp.asarray(START), [jnp.asarray(INNER), jnp.asarray(OUTER)], jnp.asarray(ts), cost
    )
    stats.check()
    return zs, int(stats.nfe), cost, [to_z0, *to_parameters, to_ts]


def error(a, b):
    return np.linalg.norm(a - b) / np.linalg.norm(b)


def compare(ts, solver, gradient, settings=None, their=None, options=None, tolerance=1e-4):
    weights = np.random.default_rng(1).normal(size=(len(ts), 3, 4))
    adjoint = gradient == "backsolve"
    expected = theirs(
        ts, adjoint, weights, method=solver, rtol=tolerance, atol=tolerance, **(their or {})
    )
    config = SolveConfig(
        {"heun2": "heun"}.get(solver, solver), rtol=tolerance, atol=tolerance, gradient=gradient,
        stepping="torchdiffeq", **(settings or {}),
    )  # fmt: skip
    zs, nfe, cost, gradients = ours(ts, weights, config, options)
    assert error(zs, expected[0]) <= OUTPUT
    assert nfe == expected[1]
    if adjoint:
        # With a gradient of the times, torchdiffeq evaluates the field once more at each output.
        assert int(cost.nfe) + len(ts) - 1 == expected[2]
    for mine, other in zip(gradients, expected[3], strict=True):
        assert error(mine, other) <= (ADJOINT if adjoint else EXACT)


@pytest.mark.parametrize(
    ("solver", "gradient", "ts"),
    [
        ("dopri5", "tape", RISING),
        pytest.param("dopri5", "replay", FALLING, marks=pytest.mark.slow),
        ("dopri5", "direct", ONE),
        ("dopri5", "backsolve", FALLING),
        pytest.param("bosh3", "tape", FALLING, marks=pytest.mark.slow),
        pytest.param("dopri8", "tape", RISING, marks=pytest.mark.slow),
        ("adaptive_heun", "checkpointed", ONE),
        ("fehlberg2", "backsolve", ONE),
    ],
)
def test_adaptive_methods(solver, gradient, ts, x64):
    compare(ts, solver, gradient)


@pytest.mark.parametrize(
    ("solver", "gradient", "ts", "step_size"),
    [
        ("euler", "tape", RISING, None),
        ("midpoint", "backsolve", FALLING, 0.07),
        ("heun2", "tape", ONE, 1 / 49),
        pytest.param("rk4", "backsolve", RISING, 0.07, marks=pytest.mark.slow),
        ("explicit_adams", "checkpointed", ONE, 0.05),
        ("implicit_adams", "backsolve", RISING, 0.05),
    ],
)
def test_fixed_steps(solver, gradient, ts, step_size, x64):
    their = {"options": {"step_size": step_size}} if step_size else {}
    compare(ts, solver, gradient, {"step_size": step_size}, their)


def test_an_iteration_that_has_converged_evaluates_the_field_no_more():
    """The evaluations that are counted are those that are made."""
    noted = []

    def field(t, z, args):
        jax.debug.callback(lambda t: noted.append(float(t)), t)
        return -z

    config = SolveConfig(
        "implicit_adams", step_size=0.05, gradient="checkpointed", stepping="torchdiffeq"
    )
    stats = jax.jit(lambda z: odeint(field, z, jnp.asarray(ONE), None, config)[1])(jnp.ones(2))
    jax.block_until_ready(stats)
    jax.effects_barrier()
    assert len(noted) == int(stats.nfe) < 20 * 5


def test_the_seminorm(x64):
    compare(
        RISING, "bosh3", "backsolve", {"backward_norm": "seminorm"},
        {"adjoint_options": {"norm": "seminorm"}},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("solver", "gradient", "mine", "their"),
    [
        ("dopri5", "tape", {"first_step": 0.1, "max_step": 0.2}, {}),
        ("dopri5", "backsolve", {"safety": 0.7, "ifactor": 3.0, "dfactor": 0.5}, {}),
        pytest.param("bosh3", "direct", {"min_step": 0.2}, {}, marks=pytest.mark.slow),
        ("dopri5", "direct", {"step_t": [0.4, 0.9]}, {"step_t": STOPS}),
        ("rk4", "backsolve", {"interp": "cubic"}, {}),
        ("rk4", "tape", {"perturb": True}, {}),
    ],
)  # fmt: skip
def test_options(solver, gradient, mine, their, x64):
    fixed = {"step_size": 0.07} if solver == "rk4" else {}
    compare(
        RISING,
        solver,
        gradient,
        fixed,
        {"options": {**mine, **their, **fixed}},
        StepOptions(**mine),
    )


def test_the_size_of_the_first_step_can_be_left_out_of_the_gradient(x64):
    """What plain torchdiffeq adds to the gradient is far above rounding."""
    weights = np.random.default_rng(1).normal(size=(2, 3, 4))
    config = SolveConfig("dopri5", stepping="torchdiffeq")
    whole = ours(ONE, weights, config)[3]
    without = ours(ONE, weights, config, StepOptions(first_step_gradient=False))[3]
    assert 1e-8 < error(without[1], whole[1]) < 1e-1


def test_a_tuples_norm_is_its_largest_part(x64):
    """A few fast numbers beside many still ones decide the steps."""
    fast, still = np.array([1.0, 0.5]), np.zeros(200)
    stats_of = {}

    class Pair(torch.nn.Module):
        nfe = 0

        def forward(self, t, state):
            self.nfe += 1
            return 8 * torch.stack([state[0][1], -state[0][0]]), 0 * state[1]

    field = Pair()
    expected = torchdiffeq.odeint(
        field, (torch.tensor(fast), torch.tensor(still)), torch.tensor(ONE).double(),
        rtol=1e-4, atol=1e-4, method="dopri5",
    )  # fmt: skip

    def rotate(t, state, args):
        return 8 * jnp.stack([state[0][1], -state[0][0]]), 0 * state[1]

    for stepping in ("torchdiffeq", "diffrax"):
        config = SolveConfig("dopri5", rtol=1e-4, atol=1e-4, stepping=stepping)
        solve = jax.jit(lambda z, config=config: odeint(rotate, z, ONE, None, config))
        (z, _), stats = solve((fast, still))
        end = np.asarray(z)[-1]
        stats_of[stepping] = (error(end, expected[0][-1].numpy()), int(stats.nfe))
    assert stats_of["torchdiffeq"][0] <= OUTPUT
    assert stats_of["torchdiffeq"][1] == field.nfe
    assert stats_of["diffrax"][1] < field.nfe


def test_an_event_and_its_gradients(x64):
    start = np.array([1.0, 0.3])

    def fall(z, force):
        return [z[1], -force]

    z0, force = torch.tensor(start, requires_grad=True), torch.tensor(2.0).double().requires_grad_()
    event_t, zs = torchdiffeq.odeint_event(
        lambda t, z: torch.stack(fall(z, force)), z0, torch.tensor(0.0).double(),
        event_fn=lambda t, z: z[0], method="dopri5", rtol=1e-6, atol=1e-8,
    )  # fmt: skip
    (event_t + zs[-1][1]).backward()
    config = SolveConfig("dopri5", rtol=1e-6, atol=1e-8, stepping="torchdiffeq")

    def found(z0, force):
        t, z, stats = odeint_event(
            lambda t, z, force: jnp.stack(fall(z, force)), z0, 0.0, force, config,
            event=lambda t, z: z[0],
        )  # fmt: skip
        return t + z[1], (t, z, stats)

    gradients, (t, z, stats) = jax.jit(jax.grad(found, argnums=(0, 1), has_aux=True))(start, 2.0)
    stats.check()
    assert t == pytest.approx(event_t.item(), abs=1e-12)
    np.testing.assert_allclose(z, zs[-1].detach().numpy(), atol=1e-12)
    # The exact time is (v + √(v² + 2ga)) / g with height a, speed v and force g.
    exact = jax.jit(
        jax.grad(
            lambda z, g: (
                (z[1] + jnp.sqrt(z[1] ** 2 + 2 * g * z[0])) / g - jnp.sqrt(z[1] ** 2 + 2 * g * z[0])
            ),
            argnums=(0, 1),
        )
    )(start, 2.0)
    np.testing.assert_allclose(gradients[0], exact[0], rtol=1e-6)
    np.testing.assert_allclose(gradients[1], exact[1], rtol=1e-6)
    np.testing.assert_allclose(gradients[0], z0.grad.numpy(), rtol=1e-6)
