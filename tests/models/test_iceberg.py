"""The classifiers of radar images: sizes, shapes, and their dropouts."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxode.checks import ConfigError
from jaxode.losses import cross_entropy
from jaxode.models import create_model, parameter_count
from jaxode.nn.dropout import Dropout
from jaxode.nn.kernels import LIBRARY
from jaxode.types import Training


def build(kind, side=75):
    shape = (side, side, 1 if kind == "dense" else 3)
    return create_model(kind, image_shape=shape, classes=2, rngs=nnx.Rngs(0), kernels=LIBRARY)


@pytest.mark.parametrize(
    ("kind", "parameters", "features", "rates", "solves"),
    [
        ("dense", 769_793, (2, 128), [], 0),
        ("cnn", 5_574_024, (2, 18, 18, 64), [0.25] * 6 + [0.5] * 2, 0),
        ("odecnn", 4_828_808, (2, 18, 18, 64), [0.25] * 4 + [0.5] * 2, 1),
    ],
)
def test_sizes_are_those_stated(kind, parameters, features, rates, solves):
    model = nnx.eval_shape(lambda: build(kind))
    assert parameter_count(model) == parameters
    dropouts = [module for _, module in nnx.iter_graph(model) if isinstance(module, Dropout)]
    assert sorted(module.rate for module in dropouts) == rates
    assert len({module.index for module in dropouts}) == len(dropouts)
    graph, state = nnx.split(model)
    images = jax.ShapeDtypeStruct((2, 75, 75, 1 if kind == "dense" else 3), jnp.float32)
    context = jax.eval_shape(lambda: Training(jax.random.split(jax.random.key(0), 2), jnp.ones(2)))

    def run(state, images, training):
        model = nnx.merge(graph, state)
        return model.features(images, training)[0], *model(images, training), model(images)[0]

    found, logits, stats, evaluated = jax.eval_shape(run, state, images, context)
    assert (found.shape, logits.shape, evaluated.shape) == (features, (2, 2), (2, 2))
    assert stats.nfe.shape == (solves,)


def test_the_dense_classifiers_loss_is_a_sigmoids_binary_cross_entropy():
    model, images = build("dense", side=8), jax.random.normal(jax.random.key(1), (6, 8, 8, 1))
    labels, weights = jnp.array([0, 1, 1, 0, 1, 0]), jnp.ones(6)
    logits = 50 * model(images)[0]
    score = logits[:, 1]
    binary = jnp.mean(jax.nn.softplus(score) - labels * score)
    np.testing.assert_allclose(
        cross_entropy(logits, labels, weights, jnp.float32(6)), binary, rtol=1e-6
    )


def test_images_too_small_to_be_pooled_are_refused():
    with pytest.raises(
        ConfigError, match=r"image_shape must be at least 32 pixels a side, got '?31 x 31"
    ):
        build("cnn", side=31)
