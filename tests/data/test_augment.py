"""Views and batches: against other libraries, and by the properties that training relies on."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from jaxode.data.augment import (
    evaluation_views,
    normalise,
    random_crop,
    resize,
    resize_matrix,
    training_views,
    unit,
)
from jaxode.data.batches import epoch_order, sequential_order


def _pixels(side: int, channels: int = 3, count: int = 4) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, side, side, channels), dtype=np.uint8)


@pytest.mark.parametrize(("old", "new"), [(28, 32), (32, 28), (32, 32), (75, 28), (10, 64)])
def test_resize_is_jaxs(old, new, x64):
    images = _pixels(old).astype("float64")
    expected = jax.image.resize(images, (4, new, new, 3), "linear", antialias=True)
    np.testing.assert_allclose(
        resize(images, new), expected, atol=2e-4
    )  # jax.image computes weights in float32
    np.testing.assert_allclose(resize_matrix(old, new).sum(1), 1, atol=1e-14)


@pytest.mark.parametrize(("old", "new"), [(28, 32), (32, 28), (75, 28)])
def test_resize_is_pytorchs(old, new, x64):
    torch = pytest.importorskip("torch")
    images = _pixels(old).astype("float64")
    channels_first = torch.from_numpy(np.array(images)).permute(0, 3, 1, 2)
    expected = torch.nn.functional.interpolate(
        channels_first, (new, new), mode="bilinear", antialias=True
    )
    np.testing.assert_allclose(resize(images, new), expected.permute(0, 2, 3, 1), atol=1e-10)


def test_normalisation_is_per_channel(x64):
    images, mean, std = _pixels(8), (0.1, 0.5, 0.9), (0.2, 0.3, 0.4)
    expected = (np.asarray(images) / 255 - np.array(mean)) / np.array(std)
    np.testing.assert_allclose(normalise(images, mean, std, "float64"), expected, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_pixels_from_0_to_1_are_the_bits_of_totensor(dtype, x64):
    """And cropped windows have black pixels of 0 around the image."""
    levels = np.arange(256, dtype=np.uint8)
    found = jax.jit(lambda x: unit(x, dtype))(levels)
    np.testing.assert_array_equal(found, levels.astype(dtype) / np.asarray(255, dtype))
    images, keys = _pixels(28, 1), jax.random.split(jax.random.key(0), 4)
    views = jax.jit(lambda x: training_views(keys, x, None, None, dtype, "pad"))(images)
    padded = np.pad(np.asarray(images) / 255, ((0, 0), (4, 4), (4, 4), (0, 0))).astype(dtype)
    for view, image in zip(np.asarray(views), padded, strict=True):
        offsets = [(i, j) for i in range(9) for j in range(9)]
        assert any((view == image[i : i + 28, j : j + 28]).all() for i, j in offsets)


def test_crops_are_windows_and_every_offset_occurs():
    images = _pixels(12, 1, 400).astype("float32")
    windows = np.asarray(
        jax.jit(lambda k, x: random_crop(k, x, 8))(jax.random.split(jax.random.key(0), 400), images)
    )
    seen = set()
    for image, window in zip(np.asarray(images), windows, strict=True):
        found = [
            (i, j)
            for i in range(5)
            for j in range(5)
            if np.array_equal(image[i : i + 8, j : j + 8], window)
        ]
        assert len(found) == 1
        seen.update(found)
    assert seen == {(i, j) for i in range(5) for j in range(5)}


@pytest.mark.parametrize("side", [28, 32])
def test_views_have_the_models_size_and_evaluation_draws_nothing(side):
    images = _pixels(side)
    facts = ((0.5,) * 3, (0.25,) * 3)
    first, second = (jax.random.split(jax.random.key(k), 4) for k in (0, 1))
    views = jax.jit(lambda keys, images: training_views(keys, images, *facts))
    one, other = (np.asarray(views(keys, images)) for keys in (first, second))
    shown = jax.eval_shape(lambda images: evaluation_views(images, *facts), images)
    assert one.shape == other.shape == shown.shape == (4, 28, 28, 3)
    assert np.abs(one - other).max() > 0
    np.testing.assert_array_equal(one[1:3], views(first[1:3], images[1:3]))


@pytest.mark.parametrize("side", [28, 32])
def test_padded_crops_are_windows_of_the_image_in_black(side):
    images, mean, std = _pixels(side, 3, 60), (0.1, 0.5, 0.9), (0.2, 0.3, 0.4)
    keys = jax.random.split(jax.random.key(3), 60)
    views = jax.jit(lambda k, x: training_views(k, x, mean, std, crop="pad"))(keys, images)
    shown, black = np.asarray(evaluation_views(images, mean, std)), -np.array(mean) / np.array(std)
    framed = np.stack(
        [
            np.pad(shown[..., c], ((0, 0), (4, 4), (4, 4)), constant_values=black[c])
            for c in range(3)
        ],
        -1,
    )
    corners = set()
    for frame, view in zip(framed, np.asarray(views), strict=True):
        near = [
            (i, j)
            for i in range(9)
            for j in range(9)
            if np.allclose(frame[i:, j:][:28, :28], view, atol=1e-5)
        ]
        assert len(near) == 1
        corners.update(near)
    assert len(corners) > 30
    assert {0, 8} <= {row for row, _ in corners} & {column for _, column in corners}


def test_without_crops_training_sees_what_evaluation_sees():
    images, keys = _pixels(32), jax.random.split(jax.random.key(0), 4)
    facts = ((0.5,) * 3, (0.25,) * 3)
    np.testing.assert_array_equal(
        training_views(keys, images, *facts, crop="none"), evaluation_views(images, *facts)
    )


@pytest.mark.parametrize(("count", "size"), [(10, 5), (11, 5), (4, 5), (1, 5), (128, 128), (7, 1)])
@pytest.mark.parametrize("shuffled", [True, False])
def test_every_image_counts_once(count, size, shuffled):
    indices, weights = map(
        np.asarray,
        epoch_order(jax.random.key(0), count, size) if shuffled else sequential_order(count, size),
    )
    assert indices.shape == weights.shape == (-(-count // size), size)
    np.testing.assert_array_equal(np.sort(indices[weights == 1]), np.arange(count))
    assert float(weights.sum()) == count
    assert bool(((indices >= 0) & (indices < count)).all())


def test_epochs_differ_and_keys_repeat():
    first, second, again = (epoch_order(jax.random.key(k), 100, 10)[0] for k in (0, 1, 0))
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, again)
