"""Stepping as torchdiffeq steps: the same steps, evaluations, outputs and gradients, in float64."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxode.config import ConfigError, SolveConfig
from jaxode.nn.fields import ConvField
from jaxode.nn.kernels import MATMUL
from jaxode.ode import odeint

torch = pytest.importorskip("torch")
torchdiffeq = pytest.importorskip("torchdiffeq")

from torchdiffeq._impl import misc  # noqa: E402

from torch_ref.model import ODEFunc  # noqa: E402

WIDTH = 8
OUTPUT, EXACT_GRADIENT, ADJOINT_GRADIENT = 1e-11, 1e-10, 1e-9
"""Largest global relative errors: rounding, grown by the number of steps and, for the adjoint, by solving backward."""

ORDERS = {"bosh3": 3, "dopri5": 5, "dopri8": 8}


@pytest.fixture(scope="module")
def fields():
    """One vector field on both sides: torch's, and ours as a function of a list of arrays in torch's order."""
    torch.manual_seed(0)
    theirs = ODEFunc(WIDTH).double()
    with jax.enable_x64(True):
        ours = ConvField(WIDTH, kernels=MATMUL, rngs=nnx.Rngs(0), dtype=jnp.float64)
        graph, state = nnx.split(ours)
        paths = {}
        for name, parameter in theirs.named_parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)
            module, leaf = name.replace("_layer.", "").split(".")
            kind = "bias" if leaf == "bias" else "kernel" if parameter.ndim == 4 else "scale"
            paths[name] = (module, kind)
        flat = dict(nnx.to_flat_state(state))
        arrays = [jnp.asarray(_last(p.detach().numpy())) for p in theirs.parameters()]

        def field(t, z, params):
            values = [(path, flat[path].replace(v)) for path, v in zip(paths.values(), params, strict=True)]
            return nnx.merge(graph, nnx.from_flat_state(values))(t, z)

    return theirs, field, arrays


def _last(array):
    return array.transpose(2, 3, 1, 0) if array.ndim == 4 else array


def _relative(ours, theirs):
    a, b = (np.concatenate([np.ravel(x) for x in part]) for part in (ours, theirs))
    return np.linalg.norm(a - b) / np.linalg.norm(b)


def _torch_solve(theirs, z, config):
    span = torch.tensor([0.0, 1.0], dtype=torch.float64)
    facts = {"rtol": config.rtol, "atol": config.atol, "method": config.solver}
    if config.gradient == "backsolve":
        stops = {"step_t": span.flip(0)} | ({"norm": "seminorm"} if config.backward_norm == "seminorm" else {})
        return torchdiffeq.odeint_adjoint(theirs, z, span, **facts, options={"step_t": span}, adjoint_options=stops)[1]
    # torchdiffeq differentiates its choice of the first step; given as a number, it is the same step without that.
    tolerances = [torch.tensor(v, dtype=torch.float64) for v in (config.rtol, config.atol)]
    with torch.no_grad():
        first = misc._select_initial_step(theirs, span[0], z, ORDERS[config.solver] - 1, *tolerances, misc._rms_norm)
    theirs.nfe = 1  # the evaluation that choosing the first step takes beside f(t0, z0)
    return torchdiffeq.odeint(theirs, z, span, **facts, options={"first_step": float(first)})[1]


@pytest.mark.parametrize(
    ("gradient", "norm"),
    [("direct", "full"), ("checkpointed", "full"), ("backsolve", "full"), ("backsolve", "seminorm")],
)
@pytest.mark.parametrize(("solver", "tolerance"), [("bosh3", 1e-3), ("dopri5", 1e-3), ("dopri8", 1e-3)])
def test_steps_outputs_and_gradients_are_torchdiffeqs(fields, solver, tolerance, gradient, norm, x64):
    theirs, field, params = fields
    config = SolveConfig(
        solver=solver, rtol=tolerance, atol=tolerance, gradient=gradient, backward_norm=norm,
        stepping="torchdiffeq", max_steps=2000,
    )  # fmt: skip
    rng = np.random.default_rng(0)
    z0, slope = rng.normal(size=(3, 6, 6, WIDTH)), rng.normal(size=(3, 6, 6, WIDTH))

    def loss(params, z):
        z1, stats = odeint(field, z, params, config)
        return jnp.sum(z1 * slope), (z1, stats)

    (_, (z1, stats)), (to_params, to_z) = jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))(
        params, jnp.asarray(z0)
    )
    stats.check()
    theirs.zero_grad()
    theirs.nfe = 0
    start = torch.from_numpy(z0).permute(0, 3, 1, 2).contiguous().requires_grad_()
    end = _torch_solve(theirs, start, config)
    assert int(stats.nfe) == theirs.nfe
    (end * torch.from_numpy(slope).permute(0, 3, 1, 2)).sum().backward()
    bound = ADJOINT_GRADIENT if gradient == "backsolve" else EXACT_GRADIENT
    assert _relative([z1], [end.detach().permute(0, 2, 3, 1)]) < OUTPUT
    assert start.grad is not None
    assert _relative([to_z], [start.grad.permute(0, 2, 3, 1)]) < bound
    assert _relative(to_params, [_last(p.grad.numpy()) for p in theirs.parameters()]) < bound


@pytest.mark.parametrize("bad", [{"solver": "tsit5"}, {"solver": "heun"}, {"solver": "rk4_classic", "step_size": 0.1}])
def test_what_torchdiffeq_lacks_is_refused(bad):
    with pytest.raises(ConfigError, match="under stepping torchdiffeq"):
        SolveConfig(stepping="torchdiffeq", **bad)
