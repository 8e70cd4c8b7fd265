"""Augmentations: what each does against OpenCV and SciPy, and what is drawn by its range, its
frequency and its key.
"""

from __future__ import annotations

from functools import partial

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from jaxode.checks import ConfigError
from jaxode.config import AugmentationName
from jaxode.data.augmentations import (
    AUGMENTATIONS,
    augmented,
    colour,
    geometry,
    holes,
    require_shape,
)

NAMES = AugmentationName.__args__
COUNT, SIDE = 400, 32
FEW = 40
"""Images, where nothing is counted: each augmentation is applied to a dozen or more."""
HIGH, WIDE = 40, 56
"""An image that is not square."""

apply = jax.jit(augmented, static_argnums=2)


def _stored(*shape: int) -> np.ndarray:
    """Float32 values of 8-bit pixels, drawn at random."""
    return np.random.default_rng(0).integers(0, 256, shape).astype("float32") / 255


def _keys(count: int = COUNT) -> jax.Array:
    return jax.random.split(jax.random.key(5), count)


@pytest.fixture(scope="module")
def alone():
    """Name → images before and after that augmentation, one augmentation after another by the same
    keys.
    """
    found, images = {}, jnp.asarray(_stored(COUNT, SIDE, SIDE, 3))
    for name in NAMES:
        after = apply(_keys(), images, (name,))
        found[name] = np.asarray(images), np.asarray(after)
        images = after
    return found


def test_crops_are_resized_as_by_cv2(x64):
    image = _stored(HIGH, WIDE, 3).astype("float64")
    resized = jax.jit(partial(geometry.crop_resize, jnp.asarray(image)))
    for top, left, high, wide in [
        (0, 0, HIGH, WIDE),
        (3, 11, 31, 45),
        (39, 0, 1, 56),
        (17, 30, 23, 2),
    ]:
        window = image[top : top + high, left : left + wide]
        expected = cv2.resize(window, (WIDE, HIGH), interpolation=cv2.INTER_LINEAR)
        # cv2 has float32 positions below 64: half a unit of 2**-18 for each of two directions, and
        # weights of 2**-24
        np.testing.assert_allclose(
            resized(jnp.array([top, left, high, wide])), expected, atol=2**-18 + 2**-22
        )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_turns_are_those_of_cv2s_matrix_in_a_mirror(dtype, x64):
    image = _stored(HIGH, WIDE, 3).astype(dtype)
    turned = jax.jit(partial(geometry.turned, jnp.asarray(image)))
    # Half a dozen operations on positions below 64, in each of two directions, of slope at most one
    bound = 12 * 64 * np.finfo(dtype).eps
    for numbers in [
        (0, 0, 1, 0),
        (0.0625, -0.0625, 0.9, 45),
        (-0.0625, 0.03, 1.1, -45),
        (0.01, 0.0625, 1.03, 17),
    ]:
        turn = geometry.Turn(*map(jnp.float32, numbers))
        down, right, scale, degrees = map(float, turn)
        forward = cv2.getRotationMatrix2D(((WIDE - 1) / 2, (HIGH - 1) / 2), degrees, scale)
        forward[:, 2] += right * WIDE, down * HIGH
        inverse = np.linalg.inv([*forward, [0, 0, 1]])[:2][
            ::-1, [1, 0, 2]
        ]  # rows first, as SciPy has them
        warp = partial(
            ndimage.affine_transform,
            matrix=inverse[:, :2],
            offset=inverse[:, 2],
            order=1,
            mode="mirror",
        )
        expected = np.stack(
            [warp(channel) for channel in np.moveaxis(image.astype("float64"), -1, 0)], -1
        )
        found = turned(turn)
        assert found.dtype == dtype
        np.testing.assert_allclose(found, expected, atol=bound)


def test_flips_and_transposition_are_cv2s():
    image = _stored(SIDE, SIDE, 3)
    np.testing.assert_array_equal(geometry.transposed(image), cv2.transpose(image))
    np.testing.assert_array_equal(geometry.flipped_horizontally(image), cv2.flip(image, 1))
    np.testing.assert_array_equal(geometry.flipped_vertically(image), cv2.flip(image, 0))


def _colours() -> np.ndarray:
    """Random colours, and those at whose hue formulas change: black, white, greys, and two channels
    alike.
    """
    image = _stored(SIDE, SIDE, 3)
    image[0], image[1], image[2] = 0, 1, image[2, :, :1]
    image[3, :, 0], image[4, :, 1], image[5, :, 2] = image[3, :, 1], image[4, :, 2], image[5, :, 0]
    return image


def test_hue_saturation_and_value_are_cv2s():
    found = np.asarray(jax.jit(colour.rgb_to_hsv)(_colours()))
    expected = cv2.cvtColor(_colours(), cv2.COLOR_RGB2HSV) / np.array([360, 1, 1])
    apart = np.abs(found - expected)
    apart[..., 0] = np.minimum(apart[..., 0], 1 - apart[..., 0])
    assert apart.max() < 2**-22  # four roundings of what is below 1


@pytest.mark.parametrize(
    "shift", [(0.2, 0.2, 0.2), (-0.2, -0.2, -0.2), (0.13, -0.07, 0.05), (-0.01, 0.2, -0.2)]
)
def test_shifted_colours_are_cv2s(shift):
    image, (hue, saturation, value) = _colours(), shift
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    moved = np.stack(
        [(hsv[..., 0] + 360 * hue) % 360, hsv[..., 1] + saturation, hsv[..., 2] + value], -1
    )
    moved[..., 1] *= hsv[..., 1] > 0
    moved[..., 1:] = moved[..., 1:].clip(0, 1)
    expected = cv2.cvtColor(moved.astype("float32"), cv2.COLOR_HSV2RGB)
    # A channel moves by its whole range in a sixth of a turn: six times three roundings of the hue,
    # on both sides
    np.testing.assert_allclose(
        _shifted(image, jnp.array(shift, "float32")), expected, atol=36 * 2**-24
    )


_shifted = jax.jit(colour.shifted)


def test_brightness_and_contrast_are_cv2s():
    image = _stored(SIDE, SIDE, 3)
    for brightness, contrast in [(0.1, 0.1), (-0.1, -0.1), (0.1, -0.1), (-0.04, 0.07)]:
        expected = cv2.addWeighted(image, 1 + contrast, image, 0, brightness).clip(0, 1)
        light = jnp.array([brightness, contrast], "float32")
        np.testing.assert_allclose(colour.lit(image, light), expected, atol=2**-22)


def test_holes_are_cv2s_rectangles():
    image = _stored(HIGH, WIDE, 3)
    boxes = [(3, 5, 7, 2), (-4, 50, 9, 9), (39, 0, 1, 1), (5, 6, 8, 8), (20, 20, 0, 0)]
    expected = image.copy()
    for top, left, high, wide in boxes[:-1]:
        cv2.rectangle(expected, (left, top), (left + wide - 1, top + high - 1), (0.5, 0.5, 0.5), -1)
    np.testing.assert_array_equal(jax.jit(holes.blotted)(image, jnp.array(boxes)), expected)


DRAWS = {
    "crop": lambda key: geometry.draw_crop(key, 64, 64),
    "turn": lambda key: jnp.stack(geometry.draw_turn(key)),
    "shift": colour.draw_shift,
    "light": colour.draw_light,
    "coarse_dropout": lambda key: holes.draw_coarse_dropout(key, 64, 48),
    "cutout": lambda key: holes.draw_cutout(key, 64, 48),
}


def _drawn() -> dict[str, np.ndarray]:
    return jax.tree.map(
        np.asarray, jax.jit(lambda keys: {n: jax.vmap(d)(keys) for n, d in DRAWS.items()})(_keys())
    )


@pytest.fixture(scope="module")
def drawn():
    """What each part that draws says to 400 keys."""
    return _drawn()


def test_draws_are_the_same_in_float64(drawn, x64):
    for name, found in _drawn().items():
        assert found.dtype == drawn[name].dtype in ("float32", "int32")
        np.testing.assert_array_equal(found, drawn[name])


def test_numbers_fill_their_ranges(drawn):
    limits = {
        "turn": [(-0.0625, 0.0625), (-0.0625, 0.0625), (0.9, 1.1), (-45, 45)],
        "shift": [(-0.2, 0.2)] * 3,
        "light": [(-0.1, 0.1)] * 2,
    }
    for name, ranges in limits.items():
        for values, (low, high) in zip(drawn[name].T, ranges, strict=True):
            places = (values.astype("float64") - low) / (high - low)
            assert (
                -1e-6 < places.min() < 0.05
            )  # none of 400 in a twentieth of the range: once in 10**9
            assert 0.95 < places.max() < 1 + 1e-6
            assert abs(places.mean() - 0.5) < 5 / np.sqrt(12 * COUNT)  # five standard errors


def test_crops_have_torchvisions_areas_ratios_and_places(drawn):
    top, left, high, wide = drawn["crop"].T
    area, ratio = high * wide / 64**2, wide / high
    for values, low, up in ((area, 0.6, 1), (ratio, 3 / 4, 4 / 3)):
        assert (
            low - 0.02 < values.min() < low + 0.05
        )  # sides are rounded to pixels, of which they have 40 or more
        assert up - 0.05 < values.max() < up + 0.02
    for start, length in ((top, high), (left, wide)):
        assert start[length < 60].min() == 0
        assert (start + length)[length < 60].max() == 64
        places = (start + 0.5) / (64 - length + 1)
        assert abs(places.mean() - 0.5) < 5 / np.sqrt(12 * COUNT)
        for other in (area, ratio):
            assert abs(np.corrcoef(places, other)[0, 1]) < 5 / np.sqrt(COUNT)


def test_coarse_holes_lie_inside_and_are_one_or_two(drawn):
    first, second = np.moveaxis(drawn["coarse_dropout"], 1, 0)
    both = second[:, 2:].all(1)
    assert (second[~both, 2:] == 0).all()
    assert abs(both.sum() - COUNT / 2) < 5 * np.sqrt(COUNT) / 2
    for found in (first, second[both]):
        for axis, size in enumerate((64, 48)):
            start, length = found[:, axis], found[:, 2 + axis]
            assert set(length) == set(range(int(0.1 * size), int(0.2 * size) + 1))
            assert start.min() >= 0
            assert size - 2 <= (start + length).max() <= size


def test_a_cutouts_centre_is_any_pixel(drawn):
    (found,) = np.moveaxis(drawn["cutout"], 1, 0)
    assert (found[:, 2:] == 12).all()
    centres = found[:, :2] + 6
    assert (centres.min(0) == 0).all()
    assert (centres.max(0) == (63, 47)).all()


def test_each_is_applied_as_often_as_it_should_whatever_the_others_do(alone):
    changed = np.stack(
        [np.abs(after - before).max((1, 2, 3)) > 0 for before, after in alone.values()]
    )
    assert (
        changed[0].sum() > 0.97 * COUNT
    )  # every image is cropped; some windows are the whole image
    for k, one in enumerate(changed[1:]):  # five standard deviations
        assert abs(one.sum() - COUNT / 2) < 5 * np.sqrt(COUNT / 4)
        for other in changed[1 : 1 + k]:
            assert abs((one & other).sum() - COUNT / 4) < 5 * np.sqrt(COUNT * 3 / 16)


def test_what_is_drawn_does_not_hang_on_whether_it_is_applied(alone):
    before, after = alone["brightness_contrast"]
    lighter = (after - before).mean((1, 2, 3))
    applied = lighter[lighter != 0]
    assert abs((applied > 0).mean() - 0.5) < 5 / np.sqrt(4 * len(applied))


def test_together_they_are_one_after_another_whatever_the_order_of_the_names(x64):
    """In float64, for the programs are others and round in other places; what is drawn is float32
    all the same.
    """
    keys, images = _keys(FEW), jnp.asarray(_stored(FEW, SIDE, SIDE, 3), "float64")
    last = images
    for name in NAMES:
        last = apply(keys, last, (name,))
    together = apply(keys, images, NAMES[::-1])
    # Draws of 2**-24 apart move positions below 32 by 2e-6 in each of two directions; another draw
    # is 0.1 away
    np.testing.assert_allclose(together, last, atol=1e-5)
    np.testing.assert_array_equal(together, apply(keys, images, NAMES[::-1]))


def test_a_part_of_a_batch_is_drawn_as_in_the_whole_and_outside_of_jit(alone):
    before, after = alone["shift_scale_rotate"]
    part = augmented(_keys()[2:7], jnp.asarray(before[2:7]), ("shift_scale_rotate",))
    np.testing.assert_allclose(part, after[2:7], atol=1e-5)


def test_float64_images_get_the_same_draws(alone, x64):
    images, last = alone[NAMES[0]][0][:FEW], alone[NAMES[-1]][1][:FEW]
    found = apply(_keys()[:FEW], jnp.asarray(images, "float64"), NAMES)
    assert found.dtype == "float64"
    # A shift of saturation divides positions' roundings, 1e-5, by what there was of it; another
    # draw is 0.1 away
    np.testing.assert_allclose(found, last, atol=2e-3)


def test_one_colour_stays_in_range_and_does_not_move():
    levels = np.repeat(np.array([0, 1, 128 / 255, 1 / 255], "float32"), FEW // 4)
    images = jnp.asarray(np.broadcast_to(levels[:, None, None, None], (FEW, SIDE, SIDE, 3)))
    for name in ("random_resized_crop", "shift_scale_rotate"):
        np.testing.assert_array_equal(apply(_keys(FEW), images, (name,)), images)
    found = np.asarray(apply(_keys(FEW), images, NAMES))
    assert found.min() >= 0
    assert found.max() <= 1
    np.testing.assert_array_equal(found[..., 0], found[..., 2])  # grey stays grey


def test_names_are_the_plans_and_shapes_are_checked():
    assert tuple(AUGMENTATIONS) == NAMES
    require_shape(NAMES, 8, 8, 3)
    with pytest.raises(
        ConfigError,
        match="augmentations must be one of random_resized_crop, transpose, horizontal_flip,",
    ):
        require_shape(("cutout", "blur"), 8, 8, 3)
    with pytest.raises(ConfigError, match="transpose needs square images, got 8 x 9"):
        require_shape(NAMES, 8, 9, 3)
    with pytest.raises(ConfigError, match="hue_saturation_value must be of 3 channels, got 1"):
        augmented(_keys(2), jnp.zeros((2, 8, 8, 1)), NAMES)
    grey = jnp.ones((2, 8, 9, 1))
    assert augmented(_keys(2), grey, ()) is grey
    others = tuple(name for name in NAMES if name not in ("transpose", "hue_saturation_value"))
    assert jax.eval_shape(lambda: augmented(_keys(2), grey, others)).shape == grey.shape
