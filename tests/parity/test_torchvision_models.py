"""VGG-16 and bottleneck ResNets against torchvision's, in float64."""

from __future__ import annotations

import copy
from importlib.util import find_spec

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

torch = pytest.importorskip("torch")
if find_spec("torchvision") is None:  # a plain import fails beside a PyTorch for CPUs
    pytest.skip("torchvision is not installed", allow_module_level=True)

from jaxode import interop  # noqa: E402
from jaxode.losses import cross_entropy  # noqa: E402
from jaxode.models import VGG, BottleneckResNet, parameter_count  # noqa: E402
from jaxode.models.bottleneck_resnet import RESNET50  # noqa: E402
from jaxode.nn.kernels import LIBRARY  # noqa: E402
from jaxode.parity.bounds import BOUNDS  # noqa: E402
from jaxode.types import Training  # noqa: E402
from torch_ref import torchvision_models  # noqa: E402
from torch_ref.odenet_mnist import round_anew  # noqa: E402

OUTPUT, EXACT = BOUNDS["float64", "output"].limit, BOUNDS["float64", "exact"].limit
TRAINED = BOUNDS["float64", "training"].limit
RATE = 1e-5
LABELS = np.array([1, 3])
CASES = {
    "vgg16": (
        lambda **r: VGG(5, width=1 / 32, dropout=0.0, **r),
        lambda: torchvision_models.vgg16_bn(5, 1 / 32, 0.0),
        64,
    ),
    "resnet, blocks of each kind": (
        lambda **r: BottleneckResNet(5, (2, 1, 1, 1), width=1 / 16, **r),
        lambda: torchvision_models.bottleneck_resnet(5, (2, 1, 1, 1), 1 / 16),
        64,
    ),
    "resnet101": (
        lambda **r: BottleneckResNet(5, width=1 / 16, **r),
        lambda: torchvision_models.bottleneck_resnet(5, width=1 / 16),
        64,
    ),
    "resnet101, full": (
        lambda **r: BottleneckResNet(5, **r),
        lambda: torchvision_models.bottleneck_resnet(5),
        64,
    ),
    "vgg16, full": (
        lambda **r: VGG(5, dropout=0.0, **r),
        lambda: torchvision_models.vgg16_bn(5, dropout=0.0),
        64,
    ),
    "resnet50, stem of CIFAR": (
        lambda **r: BottleneckResNet(5, RESNET50, width=1 / 16, stem="cifar", **r),
        lambda: torchvision_models.bottleneck_resnet(5, RESNET50, 1 / 16, cifar_stem=True),
        16,
    ),
}


def pair(name):
    """Both models with the same weights, and images [2, 3, side, side] of float64."""
    make, make_theirs, side = CASES[name]
    torch.manual_seed(0)
    theirs = torchvision_models.randomise_norms(make_theirs().double(), seed=1)
    # Of XLA's convolution: a hundred of matrix products take minutes to compile.
    # No initial numbers are drawn, which takes a program for each shape.
    ours = nnx.eval_shape(lambda: make(rngs=nnx.Rngs(0), dtype=jnp.float64, kernels=LIBRARY))
    weights = {key: value.detach().numpy() for key, value in theirs.state_dict().items()}
    nnx.update(ours, interop.from_torch(ours, weights))
    return ours, theirs, np.random.default_rng(0).normal(size=(2, 3, side, side))


def error(one, other):
    """Global relative error of arrays by name."""
    assert set(one) == set(other)
    names = sorted(one)
    a, b = (np.concatenate([np.ravel(each[name]) for name in names]) for each in (one, other))
    return np.linalg.norm(a - b) / np.linalg.norm(b)


def running(model):
    """The running statistics of a model of either side."""
    if isinstance(model, nnx.Module):
        found = interop.to_torch(model)
    else:
        found = {key: value.numpy().copy() for key, value in model.state_dict().items()}
    return {key: value for key, value in found.items() if "running" in key}


def torch_step(model, images):
    """The logits; gradients are left in the parameters."""
    model.zero_grad()
    logits = model(torch.from_numpy(images))
    torch.nn.functional.cross_entropy(logits, torch.from_numpy(LABELS)).backward()
    return logits.detach().numpy()


@pytest.mark.slow  # of their compilation
@pytest.mark.parametrize("name", CASES)
def test_logits_gradients_and_running_statistics(name, x64):
    ours, theirs, images = pair(name)
    channels_last = jnp.asarray(images.transpose(0, 2, 3, 1))
    training = Training(jax.random.split(jax.random.key(0), 2), jnp.ones(2))
    graph, params, statistics = nnx.split(ours, nnx.Param, nnx.BatchStat)

    @jax.jit
    def work(params, statistics):
        def loss(params):
            model = nnx.merge(graph, params, statistics, copy=True)
            logits = model(channels_last, training)
            found = cross_entropy(logits, jnp.asarray(LABELS), jnp.ones(2))
            return found, (logits, nnx.state(model, nnx.BatchStat))

        return jax.grad(loss, has_aux=True)(params)

    rounded, generator = copy.deepcopy(theirs), torch.Generator().manual_seed(0)
    for step in range(3):
        gradient, (logits, statistics) = work(params, statistics)
        wanted = torch_step(theirs, images)
        round_anew(rounded, generator)
        torch_step(rounded, images)
        if step == 0:
            assert error({"": logits}, {"": wanted}) <= OUTPUT
            slopes = interop.to_torch(nnx.merge(graph, gradient, statistics))
            their_slopes = {key: value.grad.numpy() for key, value in theirs.named_parameters()}
            assert error({key: slopes[key] for key in their_slopes}, their_slopes) <= EXACT
            assert error(running(nnx.merge(graph, params, statistics)), running(theirs)) <= OUTPUT
        params = jax.tree.map(lambda leaf, slope: leaf - RATE * slope, params, gradient)
        for model in (theirs, rounded):
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter -= RATE * parameter.grad
    # Of 101 layers, whose last norms see eight numbers a channel, updates make rounding grow.
    own = error(running(rounded), running(theirs))
    after = error(running(nnx.merge(graph, params, statistics)), running(theirs))
    assert after <= max(TRAINED, 10 * own)
    after = interop.to_torch(nnx.merge(graph, params, statistics))
    theirs.load_state_dict({key: torch.from_numpy(value) for key, value in after.items()})
    theirs.eval()
    with torch.no_grad():
        wanted = theirs(torch.from_numpy(images)).numpy()
    evaluated = nnx.merge(graph, params, statistics)(channels_last)
    assert error({"": evaluated}, {"": wanted}) <= EXACT  # of the same numbers, just loaded


@pytest.mark.parametrize(
    ("make", "make_theirs", "count"),
    [
        (
            lambda: BottleneckResNet(rngs=nnx.Rngs(0)),
            lambda: torchvision_models.bottleneck_resnet(),
            44_549_160,
        ),
        (
            lambda: BottleneckResNet(1000, RESNET50, rngs=nnx.Rngs(0)),
            lambda: torchvision_models.bottleneck_resnet(blocks=RESNET50),
            25_557_032,
        ),
        (lambda: VGG(rngs=nnx.Rngs(0)), lambda: torchvision_models.vgg16_bn(), 138_365_992),
    ],
    ids=["resnet101", "resnet50", "vgg16_bn"],
)
def test_names_and_shapes_are_torchvisions(make, make_theirs, count):
    ours = nnx.eval_shape(make)
    assert parameter_count(ours) == count
    names = interop.torch_names(ours)
    shapes = {
        names[tuple(path)]: sorted(value.shape)
        for path, value in nnx.to_flat_state(nnx.state(ours, (nnx.Param, nnx.BatchStat)))
    }
    with torch.device("meta"):
        theirs = make_theirs()
    assert shapes == {
        key: sorted(value.shape)
        for key, value in theirs.state_dict().items()
        if not key.endswith("num_batches_tracked")
    }
