"""State_dicts in torchvision's layout: which model they are of, errors, `jaxode convert`."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import jaxode.inference
from jaxode.checks import ConfigError
from jaxode.cli import convert
from jaxode.interop import (
    InteropError,
    from_torch,
    read_weights,
    to_torch,
    torchvision_model,
    write_weights,
)
from jaxode.interop.torchvision_models import recognised
from jaxode.models import VGG, BottleneckResNet
from jaxode.models.bottleneck_resnet import RESNET50, RESNET101
from jaxode.models.detector_config import DetectorConfig, create_detector


def drawn(build):
    """A model with numbers that are all different; its initial ones are not drawn."""
    model = nnx.eval_shape(build)
    graph, state = nnx.split(model)
    leaves, tree = jax.tree.flatten(state)
    sizes = np.cumsum([0, *(leaf.size for leaf in leaves)])
    arrays = [
        jnp.asarray(np.arange(first, last, dtype=np.float32).reshape(leaf.shape))
        for leaf, first, last in zip(leaves, sizes, sizes[1:], strict=False)
    ]
    return nnx.merge(graph, jax.tree.unflatten(tree, arrays))


def vgg(**sizes):
    return drawn(lambda: VGG(3, width=1 / 64, rngs=nnx.Rngs(0), **sizes))


def resnet(blocks=(1, 1, 1, 1), **sizes):
    return drawn(lambda: BottleneckResNet(3, blocks, width=1 / 32, rngs=nnx.Rngs(0), **sizes))


def detector(backbone, **sizes):
    given = {"width": 8, "hidden": 4, "backbone": backbone, "anchors": "16,32", **sizes}
    return drawn(lambda: create_detector(DetectorConfig(2, **given), rngs=nnx.Rngs(0)))


MODELS = {
    "vgg": vgg,
    "grey vgg": lambda: vgg(channels=1),
    "resnet50": lambda: resnet(RESNET50),
    "resnet101": lambda: resnet(RESNET101),
    "small stem": lambda: resnet(stem="cifar"),
    "odenet": lambda: detector("odenet", blocks=2),
    "twin": lambda: detector("resnet", stem="sixteenth", blocks=3),
    "on resnet101": lambda: detector("resnet101", width=4),
    "on vgg16": lambda: detector("vgg16", stem="sixteenth", width=2),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_state_dict_becomes_the_model_that_it_is_of(name):
    model = MODELS[name]()
    weights = to_torch(model)
    again = torchvision_model(weights)
    assert type(again) is type(model)
    found, wanted = (nnx.state(each, (nnx.Param, nnx.BatchStat)) for each in (again, model))
    assert jax.tree.structure(found) == jax.tree.structure(wanted)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_a_file_does_not_say_of_a_detector_is_given():
    weights = to_torch(detector("vgg16"))
    which = recognised(weights)
    assert which is not None
    assert which.title == "FasterRCNN of 2 classes on vgg16, stem eighth"
    assert which.assumed == "anchors of 16,32 pixels with ratios 0.5,1,2"
    model: Any = torchvision_model(weights, anchors="10,20,30", ratios="1,2", rows=64)
    assert model.settings.sizes == (10, 20, 30)
    with pytest.raises(InteropError, match="of 6 anchors a place, and anchors and ratios make 3"):
        torchvision_model(weights, anchors="10", ratios="0.5,1,2")
    with pytest.raises(ConfigError, match="anchors must be left out for a model without boxes"):
        torchvision_model(to_torch(vgg()), anchors="10")


def without(weights, *names):
    return {name: array for name, array in weights.items() if name not in names}


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("vgg", lambda w: without(w, "features.1.weight"), "only vgg16_bn is supported"),
        (
            "vgg",
            lambda w: w | {"features.3.weight": np.zeros((5, 1, 3, 3))},
            "must have VGG-16's channels .* got 1, 5, 2",
        ),
        (
            "vgg",
            lambda w: w | {"classifier.0.bias": np.zeros(9)},
            r"classifier.0.bias has shape \(9,\), not \(64,\)",
        ),
        ("vgg", lambda w: without(w, "classifier.6.weight"), "missing classifier.6.weight"),
        (
            "small stem",
            lambda w: without(w, "layer1.0.conv3.weight"),
            "only ResNets of bottleneck blocks are supported, as resnet50 and resnet101",
        ),
        ("small stem", lambda w: w | {"fc.weight": np.zeros(3)}, "fc.weight must have 2 axes"),
        (
            "small stem",
            lambda w: w | {"conv1.weight": np.zeros((2, 3, 5, 5))},
            "must be of 7 x 7 or 3 x 3 pixels, got 5 x 5",
        ),
        (
            "on vgg16",
            lambda w: w | {"backbone.fpn.inner_blocks.0.0.weight": np.zeros((1, 1, 1, 1))},
            "has a feature pyramid",
        ),
        (
            "on vgg16",
            lambda w: without(w, "backbone.40.weight"),
            "after 10 or 13 convolutions, got 12",
        ),
        (
            "on resnet101",
            lambda w: w | {"backbone.layer3.0.conv1.weight": np.zeros((1, 1, 1, 1))},
            "ResNet-101 up to layer2 or layer3, of 3, 4 or 3, 4, 23 blocks, got 3, 4, 1, 0",
        ),
        ("odenet", lambda w: without(w, "backbone.layers.0.weight"), "backbone must be VGG-16's"),
        (
            "odenet",
            lambda w: w | {"roi_heads.box_head.fc6.weight": np.zeros((4, 7))},
            r"fc6.weight has shape \(4, 7\), not \(4, 392\)",
        ),
    ],
)
def test_a_wrong_state_dict_is_named_in_one_line(name, change, message, tmp_path, capsys):
    file = tmp_path / "given.safetensors"
    write_weights(
        file, {k: v.astype(np.float32) for k, v in change(to_torch(MODELS[name]())).items()}
    )
    with pytest.raises(InteropError, match=message):
        torchvision_model(read_weights(file))
    assert convert.main([str(file), str(tmp_path / "out.npz")]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"jaxode convert: error: {file}: ")
    assert len(error.splitlines()) == 1


def test_the_command_writes_paths_and_refuses_a_run(tmp_path, capsys):
    model = detector("odenet")
    source, target = tmp_path / "given.safetensors", tmp_path / "out.npz"
    write_weights(source, {k: v.astype(np.float64) for k, v in to_torch(model).items()})
    assert convert.main([str(source), str(target)]) == 0
    said = capsys.readouterr()
    assert "FasterRCNN of 2 classes on odenet, stem eighth" in said.out
    assert "does not say which boxes it starts from: anchors of 16,32 pixels" in said.err
    arrays = read_weights(target)
    kernel = model.backbone.blocks[0].field.conv1.kernel
    np.testing.assert_array_equal(arrays["backbone.blocks.0.field.conv1.kernel"], kernel)
    assert arrays["head.linear1.kernel"].dtype == np.float64
    for words, message in (
        ([str(source), str(tmp_path / "run")], "TARGET must end in one of"),
        ([str(source), str(tmp_path / "b.npz"), "--lr=0.1"], "--lr must be left out"),
    ):
        assert convert.main(words) == 2
        error = capsys.readouterr().err
        assert message in error
        assert len(error.splitlines()) == 1


def test_a_run_of_a_detector_becomes_a_state_dict(tmp_path, capsys, monkeypatch):
    class Run:
        def __init__(self, model):
            self.trained = self
            self.model = model

    model = detector("vgg16")
    monkeypatch.setattr(jaxode.inference, "TrainedDetector", Run)
    monkeypatch.setattr(jaxode.inference, "load", lambda source, checkpoint: Run(model))
    target = tmp_path / "weights.pt"
    assert convert.main([str(tmp_path), str(target)]) == 0
    found = from_torch(model, read_weights(target))
    np.testing.assert_array_equal(found["head"]["linear1"]["kernel"], model.head.linear1.kernel)
