"""Views of pictures and depth: depth moves with the picture and is divided by the zoom."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxode.checks import ConfigError
from jaxode.data.depth.views import AUGMENTATIONS, DEGREES, ZOOM, View, depth_views, draw_view
from jaxode.data.depth.views import seen as seen_view

STILL = View(
    flipped=jnp.array(False),
    zoom=jnp.float32(1),
    down=jnp.float32(0),
    right=jnp.float32(0),
    degrees=jnp.float32(0),
    gains=jnp.ones(3),
)
RNG = np.random.default_rng(0)
IMAGE = jnp.asarray(RNG.uniform(0, 1, (12, 18, 3)), jnp.float32)
DEPTH = jnp.asarray(RNG.uniform(1, 9, (12, 18)), jnp.float32)


seen = jax.jit(seen_view)


def test_nothing_changes_without_a_change():
    image, depth = seen(STILL, IMAGE, DEPTH)
    np.testing.assert_allclose(image, IMAGE, atol=1e-6)
    np.testing.assert_array_equal(depth, DEPTH)


def test_a_flip_exchanges_left_and_right_of_both():
    image, depth = seen(STILL._replace(flipped=jnp.array(True)), IMAGE, DEPTH)
    np.testing.assert_allclose(image, IMAGE[:, ::-1], atol=1e-6)
    np.testing.assert_array_equal(depth, DEPTH[:, ::-1])


@pytest.mark.parametrize("corner", [(-1, -1), (1, 1), (0, 0)])
def test_a_zoom_shows_a_part_that_is_that_much_nearer(corner):
    """A plane z = 1 + row / 10 + column / 100 is read where the view lies."""
    rows, columns = np.mgrid[:13, :19]
    plane = 1 + rows / 10 + columns / 100
    down, right = (jnp.float32(each) for each in corner)
    view = STILL._replace(zoom=jnp.float32(1.5), down=down, right=right)
    both = jnp.asarray(np.stack([rows / 12, columns / 18, 0 * rows], 2), jnp.float32)
    image, depth = seen(view, both, jnp.asarray(plane, jnp.float32))
    top, left = (
        (side - 1) * (1 - 1 / 1.5) * (1 + share) / 2
        for side, share in zip(plane.shape, corner, strict=True)
    )
    where = top + rows / 1.5, left + columns / 1.5
    np.testing.assert_allclose(image[..., 0], where[0] / 12, atol=1e-5)
    np.testing.assert_allclose(image[..., 1], where[1] / 18, atol=1e-5)
    exact = (1 + where[0] / 10 + where[1] / 100) / 1.5
    np.testing.assert_allclose(depth, exact, atol=0.056 / 1.5)  # half a pixel either way
    np.testing.assert_allclose(depth * 1.5, np.round(depth * 1.5, 2), atol=1e-5)  # of the plane


def test_a_turn_is_that_of_opencv():
    cv2 = pytest.importorskip("cv2")
    image = cv2.GaussianBlur(RNG.uniform(0, 1, (40, 60, 3)).astype(np.float32), (9, 9), 3)
    depth = np.float32(5) + image[..., 0]
    view = STILL._replace(degrees=jnp.float32(5))
    found, turned = seen(view, jnp.asarray(image), jnp.asarray(depth))
    matrix = cv2.getRotationMatrix2D(((60 - 1) / 2, (40 - 1) / 2), 5, 1)
    expected = cv2.warpAffine(image, matrix, (60, 40))
    inside = np.s_[6:-6, 6:-6]
    np.testing.assert_allclose(found[inside], expected[inside], atol=5e-3)
    np.testing.assert_allclose(turned[inside], 5 + expected[inside][..., 0], atol=0.1)
    assert (turned[0, 0], turned[-1, -1]) == (0, 0)  # outside of the picture
    assert float((turned == 0).mean()) < 0.12


def test_a_reduced_picture_is_farther_and_has_a_border_that_is_unknown():
    _, depth = seen(STILL._replace(zoom=jnp.float32(0.5)), IMAGE, jnp.full((12, 18), 4.0))
    expected = np.zeros((12, 18))
    expected[3:9, 5:13] = 8
    np.testing.assert_array_equal(depth, expected)


def test_what_is_unknown_stays_unknown():
    known = jnp.asarray(RNG.random((12, 18)) < 0.5)
    view = STILL._replace(zoom=jnp.float32(1.3), degrees=jnp.float32(3))
    _, depth = seen(view, IMAGE, jnp.where(known, 7.0, 0.0))
    values = np.unique(np.asarray(depth))
    np.testing.assert_allclose(values, [0, 7 / 1.3], rtol=1e-6)


@pytest.mark.slow
def test_draws_are_within_their_ranges_and_each_of_its_own():
    keys = jax.random.split(jax.random.key(0), 500)
    left = [tuple(sorted(set(AUGMENTATIONS) - {name})) for name in AUGMENTATIONS]

    @jax.jit
    def all_draws(keys):
        return [jax.vmap(partial(draw_view, names=each))(keys) for each in (AUGMENTATIONS, *left)]

    drawn, *without = all_draws(keys)
    assert 0.4 < float(drawn.flipped.mean()) < 0.6
    assert float(jnp.log(drawn.zoom).mean()) == pytest.approx(0, abs=0.02)
    assert 0.99 * ZOOM < float(drawn.zoom.max()) <= ZOOM
    assert 1 / ZOOM <= float(drawn.zoom.min()) < 1.01 / ZOOM
    assert DEGREES - 0.1 < float(jnp.abs(drawn.degrees).max()) <= DEGREES
    assert 0.8 <= float(drawn.gains.min()) < 0.81 < 1.19 < float(drawn.gains.max()) <= 1.2
    for name, others in zip(AUGMENTATIONS, without, strict=True):
        left_out = {"flip": "flipped", "rotate": "degrees", "colour": "gains"}.get(name, name)
        same = set(View._fields) - ({"zoom", "down", "right"} if name == "zoom" else {left_out})
        for field in same:
            np.testing.assert_array_equal(getattr(drawn, field), getattr(others, field))
    still = draw_view(keys[0], ())
    assert jax.tree.all(jax.tree.map(lambda a, b: bool(jnp.all(a == b)), still, STILL))


def test_batches_are_normalised_masked_and_drawn_by_each_key():
    stored = {
        "image": RNG.integers(0, 256, (3, 48, 64, 3), dtype=np.uint8),
        "depth": RNG.uniform(1, 9, (3, 48, 64)).astype(np.float32),
        "weight": np.ones(3, np.float32),
    }
    stored["depth"][:, 20, 30] = 0
    views = depth_views((0.4, 0.5, 0.6), (0.2, 0.3, 0.2), eigen=True)
    evaluated = jax.device_get(jax.jit(views.evaluation)(stored))
    assert evaluated["mask"].sum() == 3 * ((47 - 4) * (60 - 4) - 1)
    last = (stored["image"][..., 2] / 255 - 0.6) / 0.2
    np.testing.assert_allclose(evaluated["image"][..., 2], last, atol=1e-5)
    keys = jax.random.split(jax.random.key(1), 3)
    training = jax.jit(views.training)
    trained = training({**stored, "key": keys})
    alone = {name: array[1:2] for name, array in {**stored, "key": keys}.items()}
    np.testing.assert_array_equal(training(alone)["depth"][0], trained["depth"][1])
    assert 0.3 < float(trained["mask"].mean()) <= 1
    assert not np.array_equal(trained["depth"], stored["depth"])
    with pytest.raises(ConfigError, match="augment must be"):
        depth_views((0,) * 3, (1,) * 3, ("mirror",))
