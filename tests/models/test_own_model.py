"""A model of a user's own: registered by a name, or a class or function in a name's place."""

from __future__ import annotations

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from stubs import image_set, run_config, without_pictures

from jaxode.checks import ConfigError
from jaxode.config import ModelConfig, ModelFacts, RunConfig, SolveConfig
from jaxode.models import Model, create_model, describe, register_model, unregister_model
from jaxode.nn import ODEBlock, count_backward
from jaxode.ode import Stats
from jaxode.train import run
from jaxode.train.state import split_model


class Field(nnx.Module):
    def __init__(self, width, rngs):
        self.linear = nnx.Linear(width, width, rngs=rngs)

    def __call__(self, t, z):
        return jnp.tanh(self.linear(z))


class Net(nnx.Module):
    """Means of the image's rows · an ODE block with a field of its own · linear."""

    def __init__(self, image_shape, classes, solve, rngs, scale=1.0):
        self.scale = scale
        self.block = ODEBlock(Field(image_shape[0], rngs), solve)
        self.linear = nnx.Linear(image_shape[0], classes, rngs=rngs)

    def __call__(self, images):
        z, stats = self.block(self.scale * images.mean((2, 3)))
        return self.linear(z), Stats.chain([stats])


def from_request(request):
    return Net(request.image_shape, request.classes, request.solve, request.rngs)


def narrow(classes, rngs, model):
    """A function of no solve at all, which reads a setting."""
    return nnx.Sequential(
        lambda images: images.reshape(len(images), -1)[:, : model.width],
        nnx.Linear(model.width, classes, rngs=rngs),
    )


@pytest.fixture
def registered():
    uses = frozenset(("solve",))
    model = register_model(
        Model(ModelFacts("rows", "Row means", default_blocks=1, uses=uses), from_request)
    )
    yield model
    unregister_model("rows")


OPTIONS = {"image_shape": (28, 28, 1), "classes": 10}


@pytest.mark.parametrize(
    "choice",
    [Net, narrow, functools.partial(narrow), ModelConfig(Net), ModelConfig(narrow, width=8)],
)
def test_a_class_or_a_function_is_a_model(choice):
    model = create_model(choice, SolveConfig(), rngs=nnx.Rngs(0), **OPTIONS)
    logits = model(jnp.ones((2, 28, 28, 1)))
    assert (logits[0] if isinstance(logits, tuple) else logits).shape == (2, 10)


def test_a_registered_model_has_its_name_everywhere(registered):
    config = RunConfig().replaced(model="rows")
    assert (config.model.blocks, config.model.ode_blocks, config.model.name) == (1, 1, "rows")
    assert RunConfig.from_json(json.loads(json.dumps(config.to_json()))) == config
    built = create_model("rows", rngs=nnx.Rngs(0), **OPTIONS)
    direct = create_model(Net, rngs=nnx.Rngs(0), **OPTIONS)
    jax.tree.map(np.testing.assert_array_equal, nnx.state(built), nnx.state(direct))
    facts = describe(config.model, config.solve, **OPTIONS)
    assert facts["model"] == "rows"
    assert facts["shapes"] == {"image": [28, 28, 1], "logits": [10]}
    with pytest.raises(ConfigError, match="blocks must be left out for the rows, which has 1"):
        config.replaced(blocks=2)
    with pytest.raises(ConfigError, match="'rows' is registered already"):
        register_model(registered)


def test_a_name_that_is_no_longer_registered_is_refused():
    with pytest.raises(ConfigError, match=r"model must be one of odenet, .*, odecnn, got 'rows'"):
        ModelConfig("rows")


def test_settings_name_a_class_by_its_module_and_keep_it():
    config = RunConfig(model=ModelConfig(Net))
    assert config.to_json()["model"]["model"] == f"{__name__}.Net"
    assert config.replaced(epochs=2).model.model is Net
    bound = functools.partial(Net, scale=2.0)
    assert RunConfig(model=ModelConfig(bound)).replaced(epochs=2).model.model is bound
    assert config.replaced(model="resnet").model.blocks == 6


@pytest.mark.parametrize("own", [True, False], ids=["class", "name"])
def test_the_trainer_takes_it_where_a_name_is(own, registered, tmp_path, monkeypatch):
    without_pictures(monkeypatch)
    solve = SolveConfig("euler", step_size=0.5)  # which compiles at once
    config = run_config(model=ModelConfig(Net if own else "rows"), solve=solve, epochs=1)
    result = run(config, image_set(), tmp_path)
    assert result["model"] == (f"{__name__}.Net" if own else "rows")
    assert result["nfe_forward"] == 2
    assert result["parameters"] == 28 * 28 + 28 + 28 * 10 + 10
    assert run(config, image_set(), tmp_path)["nfe_forward"] == result["nfe_forward"]  # complete


def test_a_model_that_was_called_before_is_trained_like_a_fresh_one():
    def new():
        return Net((28, 28, 1), 10, SolveConfig(), nnx.Rngs(0))

    called, fresh = new(), split_model(new())
    called(jnp.ones((2, 28, 28, 1)))
    assert hasattr(called.block, "stats")
    count_backward(called)
    graphdef, learned = split_model(called)
    assert graphdef == fresh[0]
    jax.tree.map(np.testing.assert_array_equal, learned, fresh[1])


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        (lambda classes, depth: None, "must have parameters among model, solve, .*, got depth"),
        (lambda classes: 3, "must make an nnx.Module, got 3"),
    ],
)
def test_what_makes_no_model_is_refused(choice, words):
    with pytest.raises(ConfigError, match=words):
        create_model(choice, rngs=nnx.Rngs(0), **OPTIONS)
