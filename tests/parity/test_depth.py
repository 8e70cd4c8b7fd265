"""Models of depth, their losses and errors against PyTorch, in float64."""

from __future__ import annotations

from importlib.util import find_spec

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

torch = pytest.importorskip("torch")
pytest.importorskip("torchdiffeq")
if find_spec("torchvision") is None:  # a plain import fails beside a PyTorch for CPUs
    pytest.skip("torchvision is not installed", allow_module_level=True)

from jaxode import SolveConfig, interop, losses  # noqa: E402
from jaxode.models.depth_config import DepthModelConfig, create_depth_model  # noqa: E402
from jaxode.parity.bounds import BOUNDS  # noqa: E402
from jaxode.tasks import DepthEstimation  # noqa: E402
from jaxode.types import Training  # noqa: E402
from torch_ref import depth as theirs_of  # noqa: E402
from torch_ref.solve import Settings  # noqa: E402
from torch_ref.torchvision_models import randomise_norms  # noqa: E402

OUTPUT, EXACT = BOUNDS["float64", "output"].limit, BOUNDS["float64", "exact"].limit
LOSSES = {"berhu": theirs_of.berhu, "scale_invariant": theirs_of.scale_invariant}
SIZE = (66, 100)
"""No multiples of what maps are halved by. Of smaller ones the last map is one pixel, whose norm of
a group of one channel leaves nothing but rounding."""


def error(one, other):
    """Global relative error of arrays by name."""
    assert set(one) == set(other)
    a, b = (np.concatenate([np.ravel(each[name]) for name in sorted(one)]) for each in (one, other))
    return np.linalg.norm(a - b) / np.linalg.norm(b)


def pair(encoder):
    """Both models with the same weights."""
    torch.manual_seed(0)
    settings = Settings("rk4", step_size=0.5)
    made = {
        "odenet": lambda: theirs_of.ChainEncoder(8, settings),
        "resnet": lambda: theirs_of.ChainEncoder(8, None),
        "vgg16": lambda: theirs_of.VGGEncoder(1 / 16),
    }[encoder]()
    theirs = randomise_norms(theirs_of.DepthNet(made, 32, 0.7).double(), seed=1)
    config = DepthModelConfig(encoder, 8, 1 / 16, 32, mean_log_depth=0.7)
    solve = SolveConfig("rk4", step_size=0.5)
    ours = nnx.eval_shape(
        lambda: create_depth_model(config, solve, nnx.Rngs(0), jnp.float64, kernels="plain")
    )
    weights = {name: value.detach().numpy() for name, value in theirs.state_dict().items()}
    nnx.update(ours, interop.from_torch(ours, weights))
    return ours, theirs


def example(seed=0):
    """Pictures, depth in metres, and where it is known."""
    rng = np.random.default_rng(seed)
    known = rng.random((2, *SIZE)) < 0.8
    return rng.normal(size=(2, *SIZE, 3)), rng.uniform(1, 9, (2, *SIZE)), known


@pytest.mark.parametrize("name", LOSSES)
def test_losses_of_maps_of_errors(name, x64):
    errors, _, known = example()
    errors = errors[..., 0]
    ours = {"berhu": losses.berhu, "scale_invariant": losses.scale_invariant}[name]
    mask = jnp.asarray(known, jnp.float64)
    value, slope = jax.jit(jax.value_and_grad(lambda e: ours(e, mask).mean()))(errors)
    theirs = torch.tensor(errors, requires_grad=True)
    wanted = LOSSES[name](theirs, torch.from_numpy(known))
    wanted.backward()
    assert float(value) == pytest.approx(wanted.item(), rel=OUTPUT)
    assert error({"": slope}, {"": theirs.grad.numpy()}) <= EXACT


@pytest.mark.slow
@pytest.mark.parametrize("encoder", ["odenet", "resnet", "vgg16"])
def test_log_depth_and_the_gradients_of_both_losses(encoder, x64):
    ours, theirs = pair(encoder)
    images, depth, known = example()
    batch = {
        "image": jnp.asarray(images),
        "depth": jnp.asarray(np.where(known, depth, 0)),
        "mask": jnp.asarray(known, jnp.float64),
        "weight": jnp.ones(2),
        "key": jax.random.split(jax.random.key(0), 2),
    }
    graph, params, statistics = nnx.split(ours, nnx.Param, nnx.BatchStat)

    @jax.jit
    def work(params, share):
        def both(params):
            model = nnx.merge(graph, params, statistics, copy=True)
            found, _ = model(batch["image"], Training(batch["key"], batch["weight"]))
            each = [
                DepthEstimation(name).loss(lambda _: found, batch, jnp.float64(2))[0]
                for name in LOSSES
            ]
            return share @ jnp.stack(each), (jnp.stack(each), found)

        return jax.grad(both, has_aux=True)(params)

    inputs = torch.from_numpy(images.transpose(0, 3, 1, 2))
    for place, name in enumerate(LOSSES):
        gradient, (values, found) = work(params, jnp.eye(2)[place])
        theirs.zero_grad()
        logs = theirs(inputs)
        errors = logs - torch.from_numpy(np.log(depth))
        wanted = LOSSES[name](errors, torch.from_numpy(known))
        wanted.backward()
        assert error({"": found}, {"": logs.detach().numpy()}) <= OUTPUT
        assert float(values[place]) == pytest.approx(wanted.item(), rel=OUTPUT)
        slopes = interop.to_torch(nnx.merge(graph, gradient, statistics))
        wanted_slopes = {key: value.grad.numpy() for key, value in theirs.named_parameters()}
        assert error({key: slopes[key] for key in wanted_slopes}, wanted_slopes) <= EXACT


def test_the_errors_of_the_literature(x64):
    _, depth, known = example()
    found = np.exp(np.log(depth) + np.random.default_rng(1).normal(0, 0.3, depth.shape))
    task = DepthEstimation()
    sums = [
        task.metrics(
            jnp.asarray(np.log(found[part])),
            {
                "depth": jnp.asarray(np.where(known, depth, 0)[part]),
                "mask": jnp.asarray(known[part], jnp.float64),
                "weight": jnp.ones(1),
            },
        )
        for part in (slice(0, 1), slice(1, 2))
    ]
    ours = task.summarize({name: np.asarray(sums[0][name] + sums[1][name]) for name in sums[0]})
    wanted = theirs_of.errors(torch.from_numpy(found[known]), torch.from_numpy(depth[known]))
    assert ours == pytest.approx(wanted, rel=1e-12)
