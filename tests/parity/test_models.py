"""Whole models against the PyTorch reference with the same weights, in float64, where both take the same steps."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxode.config import ModelConfig, SolveConfig
from jaxode.interop import InteropError, from_torch, to_torch
from jaxode.nn import build_classifier

torch = pytest.importorskip("torch")
pytest.importorskip("torchdiffeq")

from torch_ref import model as reference  # noqa: E402
from torch_ref.solve import Settings  # noqa: E402

FORWARD, GRADIENT = 1e-11, 1e-10
"""Largest global relative error in float64: rounding of some thousand operations, with margin; no step is chosen."""

MODELS = [("odenet", 1), ("odenet", 2), ("resnet", 2), ("resnet", 6), ("mlp", 0)]
SETS = [(1, 10), (3, 10), (3, 100)]
METHODS = {"euler": "euler", "midpoint": "midpoint", "rk4": "rk4", "heun": "heun2"}


def _pair(kind, blocks, channels, classes, solver="rk4", width=32):
    torch.manual_seed(0)
    settings = Settings(METHODS[solver], step_size=0.25)
    theirs = reference.build(kind, blocks, channels=channels, classes=classes, width=width, settings=settings).double()
    for parameter in theirs.parameters():  # norms start at one and zero, which would hide an exchange
        parameter.data += 0.1 * torch.randn_like(parameter)
    ours = build_classifier(
        ModelConfig(kind, blocks, width),
        SolveConfig(solver=solver, step_size=0.25, gradient="direct"),
        image_shape=(28, 28, channels),
        classes=classes,
        rngs=nnx.Rngs(0),
        dtype=jnp.float64,
    )
    weights = {name: tensor.numpy() for name, tensor in theirs.state_dict().items()}
    nnx.update(ours, from_torch(ours, weights, channels=channels))
    return ours, theirs


def _relative(ours, theirs) -> float:
    """Global relative error over several arrays: a bias that feeds a group of one channel has a zero gradient."""
    difference = sum(float(np.sum((np.asarray(a) - np.asarray(b)) ** 2)) for a, b in zip(ours, theirs, strict=True))
    return (difference / sum(float(np.sum(np.asarray(b) ** 2)) for b in theirs)) ** 0.5


def _compare(ours, theirs, channels, classes):
    rng = np.random.default_rng(1)
    images = rng.normal(size=(4, 28, 28, channels))
    slope = rng.normal(size=(4, classes))
    graph, params = nnx.split(ours)

    def loss(params, x):
        logits, _ = nnx.merge(graph, params)(x)
        return jnp.sum(logits * slope), logits

    (_, logits), (to_params, to_images) = jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))(
        params, jnp.asarray(images)
    )
    x = torch.from_numpy(images).permute(0, 3, 1, 2).requires_grad_()
    expected = theirs(x)
    (expected * torch.from_numpy(slope)).sum().backward()
    assert _relative([logits], [expected.detach()]) < FORWARD
    assert x.grad is not None
    assert _relative([to_images], [x.grad.permute(0, 2, 3, 1)]) < GRADIENT
    gradients = to_torch(nnx.merge(graph, to_params), channels=channels)
    named = {name: parameter.grad for name, parameter in theirs.named_parameters()}
    assert gradients.keys() == named.keys()
    assert _relative(list(gradients.values()), [named[name] for name in gradients]) < GRADIENT


@pytest.mark.parametrize(("channels", "classes"), SETS, ids=["grey-10", "rgb-10", "rgb-100"])
@pytest.mark.parametrize(("kind", "blocks"), MODELS)
def test_models_agree(kind, blocks, channels, classes, x64):
    _compare(*_pair(kind, blocks, channels, classes), channels, classes)


@pytest.mark.parametrize("solver", METHODS)
def test_fixed_step_solvers_agree(solver, x64):
    _compare(*_pair("odenet", 1, 1, 10, solver), 1, 10)


@pytest.mark.parametrize(("kind", "blocks"), MODELS)
def test_parameters_go_both_ways_unchanged(kind, blocks):
    channels = 3
    ours = build_classifier(
        ModelConfig(kind, blocks, 8), SolveConfig(), image_shape=(12, 12, channels), classes=4, rngs=nnx.Rngs(0)
    )
    weights = to_torch(ours, channels=channels)
    theirs = reference.build(kind, blocks, channels=channels, classes=4, width=8, side=12)
    theirs.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})  # strict
    back = from_torch(ours, weights, channels=channels)
    jax.tree.map(np.testing.assert_array_equal, back, nnx.state(ours, nnx.Param))


def test_what_does_not_fit_is_named():
    ours = build_classifier(ModelConfig("mlp"), SolveConfig(), image_shape=(12, 12, 1), classes=4, rngs=nnx.Rngs(0))
    weights = to_torch(ours)
    del weights["1.bias"]
    weights |= {"9.weight": np.zeros(1), "3.weight": np.zeros((2, 2))}
    with pytest.raises(InteropError, match=r"unexpected 9\.weight.*missing 1\.bias.*3\.weight has shape \(2, 2\)"):
        from_torch(ours, weights)
