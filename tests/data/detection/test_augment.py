"""Augmentations move boxes with what is in them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxode.checks import ConfigError
from jaxode.data.detection.augment import Move, draw_move, moved_boxes, moved_image
from jaxode.data.detection.views import AUGMENTATIONS, detection_views

EXTENT = np.array([40.0, 56.0], np.float32)
CANVAS = (48, 64, 3)


def with_square(x=20, y=10, side=12):
    """A white square on black, in float32, and its box."""
    image = np.zeros(CANVAS, np.float32)
    image[y : y + side, x : x + side] = 1
    return image, np.array([[x, y, x + side, y + side]], np.float32)


def bounds(image):
    """The box of what is brighter than a half."""
    rows, columns = np.nonzero(np.asarray(image[..., 0]) > 0.5)
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


@jax.jit
def moved(key, image, boxes):
    """A drawn move of an image and its box, and the box's class."""
    move = draw_move(key, EXTENT, flip=True, resize=True, crop=True)
    placed, classes = moved_boxes(boxes, jnp.array([1]), EXTENT, move)
    return moved_image(image, EXTENT, move), placed, classes


@pytest.mark.parametrize("seed", range(5))
def test_a_square_and_its_box_move_together(seed):
    found, placed, classes = moved(jax.random.key(seed), *with_square())
    assert classes.tolist() == [1]
    np.testing.assert_allclose(placed[0], bounds(found), atol=0.51)
    assert not found[40:].any()
    assert not found[:, 56:].any()


def test_a_window_is_within_the_image_or_the_image_within_it():
    """Mirrored or not; without a crop the middle of the one is that of the other."""
    sides = EXTENT[::-1]

    @jax.jit
    @jax.vmap
    def draw(key):
        both = {"flip": True, "resize": True}
        return [draw_move(key, EXTENT, **both, crop=crop) for crop in (True, False)]

    cropped, middle = draw(jax.random.split(jax.random.key(0), 16))
    ends = np.sort([cropped.shift, cropped.scale * sides + cropped.shift], 0)
    larger = np.abs(cropped.scale) > 1
    assert set(np.ravel(np.sign(cropped.scale) * (1 + larger))) == {-2, -1, 1, 2}
    outward = np.where(larger, 1, -1)
    assert (outward * ends[0] <= 1e-4).all()
    assert (outward * (ends[1] - sides) >= -1e-4).all()
    centres = middle.scale * sides / 2 + middle.shift
    np.testing.assert_allclose(centres, np.tile(sides / 2, (16, 1)), rtol=1e-5)


def test_what_leaves_the_image_is_no_object_any_more():
    boxes = jnp.array([[0.0, 0.0, 10.0, 10.0], [20.0, 10.0, 30.0, 20.0], [0.0, 0.0, 0.0, 0.0]])
    move = Move(jnp.array([1.0, 1.0]), jnp.array([-8.0, 0.0]))
    placed, classes = jax.jit(moved_boxes)(boxes, jnp.array([0, 2, -1]), EXTENT, move)
    assert classes.tolist() == [-1, 2, -1]
    assert placed[1].tolist() == [12, 10, 22, 20]
    assert not placed[0].any()


def test_without_augmentations_a_move_is_none():
    image, boxes = with_square()

    @jax.jit
    def stays(key, image, boxes):
        move = draw_move(key, EXTENT, flip=False, resize=False, crop=False)
        whole = jnp.array([48.0, 64.0])
        return moved_image(image, whole, move), moved_boxes(boxes, jnp.array([0]), EXTENT, move)[0]

    shown, placed = stays(jax.random.key(0), image, boxes)
    np.testing.assert_allclose(shown, image, atol=1e-6)
    np.testing.assert_allclose(placed, boxes)


@pytest.fixture(scope="module")
def batch():
    image, boxes = with_square()
    return {
        "image": (255 * np.stack([image, image])).astype(np.uint8),
        "extent": np.tile(EXTENT, (2, 1)),
        "boxes": np.stack([boxes, boxes]),
        "classes": np.zeros((2, 1), np.int32),
        "key": jax.random.split(jax.random.key(3), 2),
    }


def test_each_image_is_drawn_by_its_own_key(batch):
    training = jax.jit(detection_views([0.2] * 3, [0.5] * 3).training)
    both = training(batch)
    assert both["image"].dtype == jnp.float32
    assert not np.array_equal(both["image"][0], both["image"][1])
    swapped = training({**batch, "key": batch["key"][::-1]})
    np.testing.assert_array_equal(swapped["image"][0], both["image"][1])
    np.testing.assert_array_equal(swapped["boxes"][0], both["boxes"][1])


def test_evaluation_normalises_and_pads_with_the_mean_colour(batch):
    shown = jax.jit(detection_views([0.2] * 3, [0.5] * 3).evaluation)(batch)
    assert shown["image"][0, 12, 22].tolist() == pytest.approx([1.6] * 3)
    assert shown["image"][0, 0, 0].tolist() == pytest.approx([-0.4] * 3)
    assert not shown["image"][0, 40:].any()


def test_colour_alone_moves_no_box(batch):
    shown = jax.jit(detection_views([0.2] * 3, [0.5] * 3, ["colour"]).training)(batch)
    np.testing.assert_array_equal(shown["boxes"], batch["boxes"])


def test_an_augmentation_that_there_is_none_of():
    assert AUGMENTATIONS == ("flip", "resize", "crop", "colour")
    with pytest.raises(ConfigError, match="augment must be"):
        detection_views([0.5] * 3, [0.5] * 3, ["mosaic"])  # pyright: ignore[reportArgumentType]
