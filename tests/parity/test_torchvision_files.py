"""torchvision's modules, saved by PyTorch and read without it: equal outputs, losses, gradients."""

from __future__ import annotations

import dataclasses
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

from detectors import (  # noqa: E402
    ALL,
    CLASSES,
    HIDDEN,
    RATIOS,
    SIZES,
    as_inputs,
    as_targets,
    generic,
    objects,
)

from jaxode.interop import read_weights, to_torch, torchvision_model  # noqa: E402
from jaxode.models.multiply_adds import QUICK  # noqa: E402
from jaxode.nn.kernels import LIBRARY  # noqa: E402
from jaxode.types import Training  # noqa: E402
from torch_ref import torchvision_models, vision  # noqa: E402
from torch_ref.torchvision_models import randomise_norms  # noqa: E402

pytestmark = pytest.mark.usefixtures("x64")

LOSSES, GRADIENTS = 1e-11, 1e-10
NAMES = ("loss_objectness", "loss_rpn_box_reg", "loss_classifier", "loss_box_reg")

CLASSIFIERS = {
    "vgg16_bn": lambda: torchvision_models.vgg16_bn(5, 1 / 32, 0.0),
    "resnet50": lambda: torchvision_models.bottleneck_resnet(5, (3, 4, 6, 3), 1 / 16),
    "resnet101": lambda: torchvision_models.bottleneck_resnet(5, (3, 4, 23, 3), 1 / 16),
}


def read(theirs, folder, **detector):
    """Our model of what PyTorch saves of theirs."""
    torch.save(theirs.state_dict(), folder / "theirs.pth")
    weights = read_weights(folder / "theirs.pth")
    return torchvision_model(weights, dtype=jnp.float64, kernels=LIBRARY, **detector)


def error(one, other):
    """Global relative error of arrays by name."""
    assert set(one) == set(other)
    a, b = (np.concatenate([np.ravel(each[name]) for name in sorted(one)]) for each in (one, other))
    return np.linalg.norm(a - b) / np.linalg.norm(b)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifiers_have_the_same_logits(name, tmp_path):
    torch.manual_seed(0)
    theirs = randomise_norms(CLASSIFIERS[name]().double(), seed=1).eval()
    images = np.random.default_rng(0).normal(size=(2, 3, 32, 32))
    with torch.no_grad():
        wanted = theirs(torch.from_numpy(images)).numpy()
    ours = read(theirs, tmp_path)
    found = nnx.jit(lambda model, x: model(x))(ours, images.transpose(0, 2, 3, 1))
    assert error({"": found}, {"": wanted}) <= LOSSES


def quickly_compiled(function, *arguments):
    """Its result, by machine code of which little is asked: it runs once."""
    return jax.jit(function).lower(*arguments).compile(compiler_options=QUICK)(*arguments)


class Body(torch.nn.Module):
    """torchvision's ResNet-101 up to its second stage, under its names."""

    def __init__(self, width):
        super().__init__()
        whole = torchvision_models.bottleneck_resnet(1, width=width)
        for name in ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2"):
            setattr(self, name, getattr(whole, name))
        self.out_channels = self.layer2[-1].conv3.out_channels

    def forward(self, images):
        out = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        return self.layer2(self.layer1(out))


def vgg_body(width):
    """torchvision's VGG-16 up to conv4_3, its norm and ReLU."""
    body = torchvision_models.vgg16_bn(1, width).features[:33]
    body.out_channels = body[30].out_channels
    return body


@pytest.mark.parametrize("body", [Body, vgg_body], ids=["resnet101", "vgg16"])
def test_the_whole_detector(body, tmp_path):
    """One image, for batch norm sees the batch, whose losses are means over its boxes there."""
    torch.manual_seed(0)
    settings = {"before": 60, "after": 40, "anchor_sample": ALL, "box_sample": ALL}
    theirs = vision.faster_rcnn(
        body(1 / 16), CLASSES, sizes=SIZES, ratios=RATIOS, hidden=HIDDEN, **settings
    ).double()
    randomise_norms(theirs, seed=1)
    generic(theirs)
    joined = (",".join(map(str, each)) for each in (SIZES, RATIOS))
    ours = read(theirs, tmp_path, **dict(zip(("anchors", "ratios"), joined, strict=True)))
    ours.settings = dataclasses.replace(ours.settings, candidates=ALL, **settings)
    images, boxes, classes = objects(count=1)
    inputs, (pictures, targets) = (
        as_inputs(images, boxes, classes),
        as_targets(images, boxes, classes),
    )

    losses = theirs.train()(pictures, targets)
    sum(losses.values()).backward()
    graph, params, statistics = nnx.split(ours, nnx.Param, nnx.BatchStat)

    def work(params, statistics):
        def loss(params):
            model = nnx.merge(graph, params, statistics, copy=True)
            training = Training(jax.random.split(jax.random.key(0), 1), jnp.ones(1))
            outputs, _ = model(inputs, training)
            return outputs.losses.sum(), (outputs.losses[0], nnx.state(model, nnx.BatchStat))

        return jax.grad(loss, has_aux=True)(params)

    slopes, (found, after) = quickly_compiled(work, params, statistics)
    np.testing.assert_allclose(found, [losses[name].item() for name in NAMES], rtol=LOSSES)
    gradients = to_torch(nnx.merge(graph, slopes, statistics))
    wanted = {name: parameter.grad.numpy() for name, parameter in theirs.named_parameters()}
    assert error({name: gradients[name] for name in wanted}, wanted) <= GRADIENTS
    state = to_torch(nnx.merge(graph, params, after))
    running = {k: v.numpy() for k, v in theirs.state_dict().items() if "running" in k}
    assert error({name: state[name] for name in running}, running) <= LOSSES

    with torch.no_grad():
        (expected,) = theirs.eval()(pictures)

    def detect(params, statistics):
        return nnx.merge(graph, params, statistics)(inputs)[0].detections[0]

    rows = np.asarray(quickly_compiled(detect, params, after))
    rows = rows[rows[:, 5] >= 0]
    assert len(rows) == len(expected["boxes"]) > 3
    np.testing.assert_allclose(rows[:, :4], expected["boxes"], rtol=1e-9)
    np.testing.assert_allclose(rows[:, 4], expected["scores"], rtol=1e-9)
    np.testing.assert_array_equal(rows[:, 5], expected["labels"] - 1)
