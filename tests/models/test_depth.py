"""Models of depth: shapes of any picture, the residual twin, and what settings are refused."""

from __future__ import annotations

import dataclasses
import json

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from jaxode import SolveConfig
from jaxode.checks import ConfigError
from jaxode.models import parameter_count
from jaxode.models.depth_config import DepthModelConfig, create_depth_model

ONE_STEP = SolveConfig("euler", step_size=1.0)


def abstract(config):
    return nnx.eval_shape(lambda: create_depth_model(config, ONE_STEP, nnx.Rngs(0)))


@pytest.mark.parametrize(
    ("encoder", "size"), [("odenet", (97, 131)), ("resnet", (120, 160)), ("vgg16", (32, 32))]
)
def test_every_pixel_has_a_depth(encoder, size):
    model = abstract(DepthModelConfig(encoder, 16, 1 / 8, 32))
    graph, state = nnx.split(model)
    images = jax.ShapeDtypeStruct((2, *size, 3), jnp.float32)
    found, stats = jax.eval_shape(lambda state, x: nnx.merge(graph, state)(x), state, images)
    assert found.shape == (2, *size)
    assert stats.nfe.shape == ((4,) if encoder == "odenet" else (0,))


def test_the_odenet_has_fewer_parameters_than_vgg_and_as_many_as_its_twin_but_for_the_fields():
    counts = {
        encoder: parameter_count(abstract(DepthModelConfig(encoder)))
        for encoder in ("odenet", "resnet", "vgg16")
    }
    assert counts["odenet"] == 755_505
    assert counts["vgg16"] == 1_123_073
    # Of each field: two biases, two kernels of times, and the last norm.
    assert counts["odenet"] - counts["resnet"] == 4 * (2 * 64 + 2 * 9 * 64 + 2 * 64)


def test_settings_travel_as_json():
    config = DepthModelConfig("vgg16", mean=(0.1, 0.2, 0.3), mean_log_depth=0.9)
    stored = json.loads(json.dumps(dataclasses.asdict(config)))
    assert DepthModelConfig.from_json(stored) == config
    for wrong in ({"mean": [1, 2]}, {"std": [1, 1, 0]}, {"width": 12}, {"vgg_width": "1"}):
        with pytest.raises(ConfigError):
            DepthModelConfig.from_json(stored | wrong)
    with pytest.raises(ConfigError, match="must have"):
        DepthModelConfig.from_json({"encoder": "vgg16"})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"encoder": "alexnet"}, "encoder must be"),
        ({"width": 20}, "width must be a multiple of 8"),
        ({"decoder": 40}, "decoder must be a multiple of 32"),
        ({"height": 16}, "height must be"),
        ({"std": (0.0, 1.0, 1.0)}, "std must be above 0"),
    ],
)
def test_wrong_settings_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        DepthModelConfig(**values)


def test_a_width_of_vgg_must_leave_whole_channels():
    with pytest.raises(ConfigError, match="width must be a factor"):
        abstract(DepthModelConfig("vgg16", vgg_width=0.3))
