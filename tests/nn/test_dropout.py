"""What the masks of dropout depend on."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from jaxode.nn.dropout import Dropout
from jaxode.types import Training


def training(weights):
    return Training(jax.random.split(jax.random.key(1), len(weights)), jnp.asarray(weights))


def test_dropout_keeps_the_expected_share_and_mean():
    rate, x = 0.25, jnp.full((40, 5, 100), 3.0)
    y = np.asarray(Dropout(rate, 0)(x, training(np.ones(40))))
    assert set(np.unique(y)) == {0, 4}
    assert abs((y > 0).mean() - (1 - rate)) < 4 * np.sqrt(rate * (1 - rate) / y.size)


def test_a_mask_is_a_function_of_the_images_key_and_the_layers_index():
    x, context = jnp.ones((3, 200)), training([1.0, 1, 1])
    y = np.asarray(Dropout(0.5, 7)(x, context))
    alone = Dropout(0.5, 7)(x[1:2], Training(context.keys[1:2], context.weights[1:2]))
    np.testing.assert_array_equal(alone[0], y[1])
    for other in (y[0], y[2], Dropout(0.5, 8)(x, context)[1]):
        assert 60 < np.sum(y[1] != other) < 140


def test_evaluation_drops_nothing():
    x = jnp.ones((3, 200))
    assert Dropout(0.5, 7)(x) is x
