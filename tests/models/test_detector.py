"""Detectors as a whole: shapes, samples by the images' keys, micro-batches, settings."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxode.checks import ConfigError
from jaxode.config import SolveConfig
from jaxode.models import DetectorInputs
from jaxode.models.detector_config import DetectorConfig, create_detector
from jaxode.nn.normalization import group_norm_any_mode
from jaxode.tasks import Detection
from jaxode.types import Training

SMALL = DetectorConfig(
    2, width=8, hidden=8, anchors="12,20", proposals=20, boxes=10, rows=32, columns=48
)


@pytest.fixture(scope="module")
def detector():
    model = nnx.jit(lambda: create_detector(SMALL, SolveConfig(step_size=0.5, solver="euler"),
                                            rngs=nnx.Rngs(0)))()  # fmt: skip
    return nnx.split(model)


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 20, (3, 2, 2))
    return {
        "image": rng.normal(size=(3, 32, 48, 3)).astype(np.float32),
        "extent": np.tile(np.array([32, 48], np.float32), (3, 1)),
        "boxes": np.concatenate([low, low + 11], -1).astype(np.float32),
        "classes": np.array([[0, 1], [1, -1], [-1, -1]], np.int32),
        "difficult": np.zeros((3, 2), bool),
        "weight": np.array([1, 1, 0], np.float32),
    }


@pytest.fixture(scope="module")
def losses(detector):
    """A function of inputs and keys."""
    graph, state = detector

    @jax.jit
    def work(inputs, keys):
        outputs, _ = nnx.merge(graph, state)(inputs, Training(keys, jnp.ones(len(keys))))
        return outputs.losses

    return work


def test_an_images_losses_are_its_own_whatever_the_batch(losses, batch):
    inputs = DetectorInputs(*(batch[name] for name in ("image", "extent", "boxes", "classes")))
    keys = jax.random.split(jax.random.key(0), 3)
    found = losses(inputs, keys)
    assert found.shape == (3, 4)
    assert np.isfinite(found).all()
    assert found[2, [1, 3]].tolist() == [0, 0]  # without objects, no box is wrong
    turned = losses(jax.tree.map(lambda x: x[::-1], inputs), keys[::-1])
    np.testing.assert_allclose(turned[::-1], found, rtol=1e-5)
    others = losses(inputs, jax.random.split(jax.random.key(1), 3))
    assert not np.array_equal(others, found)


def test_evaluation_is_always_the_same_and_leaves_padding_out(detector, batch):
    graph, state = detector
    task = Detection(2)

    @jax.jit
    def evaluate(batch):
        loss, outputs = task.loss(nnx_call(graph, state), batch, jnp.float32(2))
        return loss, task.metrics(outputs, batch), outputs

    loss, sums, outputs = evaluate(batch)
    assert outputs.detections.shape == (3, 100, 6)
    np.testing.assert_allclose(loss, outputs.losses[:2].sum() / 2, rtol=1e-6)
    assert sums["objects"].tolist() == [1, 2]
    assert int(sums["images"]) == 2
    counted = int(sums["hits"].sum() + sums["misses"].sum())
    assert counted == int((outputs.detections[:2, :, 5] >= 0).sum())
    scores = task.summarize({name: np.asarray(value) for name, value in sums.items()})
    assert {"ap50", "precision", "recall", "f1", "class_loss"} <= set(scores)


def nnx_call(graph, state):
    """The outputs alone, as the trainer has them."""

    class Outputs:
        def __call__(self, inputs, training=None):
            return nnx.merge(graph, state)(inputs, training)[0]

    return Outputs()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"backbone": "vit"}, "backbone must be"),
        ({"stem": "quarter"}, "stem must be"),
        ({"classes": 0}, "classes must be"),
        ({"width": 7}, "width must be even"),
        ({"rows": 36}, "rows must be a multiple of 8"),
        ({"anchors": "16,x"}, "anchors must be 1 to 16 numbers"),
        ({"ratios": "0"}, "ratios must be 1 to 16 numbers"),
    ],
)
def test_settings_that_are_not_allowed(changes, message):
    with pytest.raises(ConfigError, match=message):
        dataclasses.replace(SMALL, **changes)


def test_settings_come_back_from_json():
    values = dataclasses.asdict(SMALL)
    assert DetectorConfig.from_json(values) == SMALL
    assert SMALL.solves
    assert SMALL.settings.before == 60
    with pytest.raises(ConfigError, match=r"detector\.json must have"):
        DetectorConfig.from_json({"classes": 2})
    with pytest.raises(ConfigError, match="width must be of type int"):
        DetectorConfig.from_json({**values, "width": True})


def test_the_residual_twin_has_the_same_stem_map_and_heads():
    twin = dataclasses.replace(SMALL, backbone="resnet", stem="sixteenth", rows=64, columns=64)
    model = nnx.eval_shape(lambda: create_detector(twin, rngs=nnx.Rngs(0)))
    assert len(model.backbone.stem.convs) == 4
    assert not twin.solves
    assert type(model.backbone).__name__ == "ResidualBackbone"


@pytest.mark.parametrize(
    ("backbone", "stem", "channels"),
    [
        ("resnet101", "sixteenth", 128), ("resnet101", "eighth", 64),
        ("vgg16", "sixteenth", 64), ("vgg16", "eighth", 64),
    ],
)  # fmt: skip
def test_networks_of_torchvisions_layout(backbone, stem, channels):
    config = dataclasses.replace(SMALL, backbone=backbone, stem=stem, columns=64)
    model = nnx.eval_shape(lambda: create_detector(config, rngs=nnx.Rngs(0)))
    images = jnp.zeros((1, 32, 64, 3))
    maps, stats = nnx.eval_shape(lambda model: model.backbone(images), model)
    assert maps.shape == (1, 32 // config.stride, 64 // config.stride, channels)
    assert stats.nfe.shape == (0,)
    norms = nnx.state(model, nnx.BatchStat)
    assert jax.tree.leaves(norms)


@pytest.mark.parametrize(("solver", "any_mode"), [("kvaerno3", True), ("dopri5", False)])
def test_the_field_of_an_implicit_solver_has_kernels_of_its_own(solver, any_mode):
    config = DetectorConfig(3, width=8, hidden=8)
    model = nnx.eval_shape(lambda: create_detector(config, SolveConfig(solver), rngs=nnx.Rngs(0)))
    field, norm = model.backbone.blocks[0].field, model.backbone.norm
    assert (field.norm1.kernels.group_norm is group_norm_any_mode) == any_mode
    assert norm.kernels.group_norm is not group_norm_any_mode
