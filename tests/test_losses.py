import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxode.losses import cross_entropy

LOGITS = jnp.asarray([[2.0, 0.0, -1.0], [0.5, 0.5, 3.0], [9.0, -9.0, 0.0]])
LABELS = jnp.asarray([0, 1, 1])


def by_hand(rows):
    logits = np.asarray(LOGITS, np.float64)
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return np.mean([-np.log(chances[row, int(LABELS[row])]) for row in rows])


@pytest.mark.parametrize("rows", [(0, 1, 2), (0, 1), (2,)])
def test_cross_entropy_is_the_mean_over_the_images_that_count(rows):
    weights = jnp.asarray([float(row in rows) for row in range(3)])
    np.testing.assert_allclose(cross_entropy(LOGITS, LABELS, weights), by_hand(rows), rtol=1e-6)


def test_an_image_of_weight_zero_has_no_gradient():
    gradient = jax.grad(cross_entropy)(LOGITS, LABELS, jnp.asarray([1.0, 1.0, 0.0]))
    assert np.all(np.asarray(gradient[2]) == 0)
    assert np.all(np.asarray(gradient[:2]) != 0)
