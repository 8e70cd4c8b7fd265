"""Drawn problems: any span, width, batch and tolerance, on a smooth dense field, against
torchdiffeq in float64.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from jaxode.config import SOLVER_FACTS, SolveConfig, names_where
from jaxode.ode import odeint

torch = pytest.importorskip("torch")
pytest.importorskip("torchdiffeq")

from scripts.parity.bounds import BOUNDS, gradient_bound  # noqa: E402
from scripts.parity.measure import relative  # noqa: E402
from scripts.parity.settings import their_settings  # noqa: E402
from torch_ref.solve import Solver  # noqa: E402


class Dense(torch.nn.Module):
    """tanh(z A + t b) C: depends on time, and has a Jacobian without symmetry."""

    def __init__(self, width, rng):
        super().__init__()
        self.nfe = 0
        for name, shape in (("a", (width, width)), ("b", (width,)), ("c", (width, width))):
            value = torch.from_numpy(rng.normal(size=shape) * 1.5 / math.sqrt(width))
            self.register_parameter(name, torch.nn.Parameter(value))

    def forward(self, t, z):
        self.nfe += 1
        return torch.tanh(z @ self.a + t * self.b) @ self.c


def dense(t, z, args):
    a, b, c = args
    return jnp.tanh(z @ a + t * b) @ c


SOLVES = [
    {"solver": solver, "step_size": size}
    for solver in names_where(torchdiffeq_fixed=True)
    for size in (0.125, 0.17)
]
SOLVES += [{"solver": solver} for solver in names_where(torchdiffeq_adaptive=True)]
MODES = [("direct", "full"), ("checkpointed", "full"), ("tape", "full"), ("replay", "full")]
MODES += [("backsolve", "full"), ("backsolve", "seminorm")]


@settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],  # every smaller example would be compiled anew
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    width=st.integers(1, 9),
    batch=st.integers(1, 5),
    start=st.floats(-2, 2),
    length=st.floats(0.3, 2),
    backward_in_time=st.booleans(),
    exponent=st.floats(-7, -2),
    choice=st.sampled_from(SOLVES),
    mode=st.sampled_from(MODES),
    seed=st.integers(0, 99),
)
def test_drawn_problems_take_the_same_steps(
    x64, width, batch, start, length, backward_in_time, exponent, choice, mode, seed
):
    rng = np.random.default_rng(seed)
    theirs = Dense(width, rng)
    z0, slope = rng.normal(size=(batch, width)), rng.normal(size=(batch, width))
    gradient, norm = mode
    facts = SOLVER_FACTS[choice["solver"]]
    if not facts.taped and gradient in ("tape", "replay"):
        gradient = "checkpointed"
    config = SolveConfig(
        **choice, rtol=10**exponent, atol=10**exponent, gradient=gradient, backward_norm=norm,
        stepping="torchdiffeq", max_steps=2048,
    )  # fmt: skip
    span = (start, start - length if backward_in_time else start + length)
    solver = Solver(their_settings(config, span))
    begin = torch.from_numpy(z0).requires_grad_()
    end = solver(theirs, begin)
    (end * torch.from_numpy(slope)).sum().backward()

    def loss(args, z):
        z1, stats = odeint(dense, z, args, config, t0=span[0], t1=span[1])
        return jnp.sum(z1 * slope), (z1, stats)

    args = [jnp.asarray(parameter.detach().numpy()) for parameter in theirs.parameters()]
    step = jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))
    (_, (z1, stats)), (to_args, to_z) = step(args, jnp.asarray(z0))
    stats.check()
    counts = solver.counts
    assert (int(stats.nfe), int(stats.accepted + stats.rejected), int(stats.rejected)) == (
        counts.nfe, counts.steps, counts.rejected
    )  # fmt: skip
    bound = gradient_bound("float64", gradient).limit
    assert relative([z1], [end.detach()]) < BOUNDS["float64", "output"].limit
    assert relative([to_z], [begin.grad]) < bound
    assert relative(to_args, [parameter.grad for parameter in theirs.parameters()]) < bound
