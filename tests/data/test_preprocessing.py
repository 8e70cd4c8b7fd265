"""What models see of stored images."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxode.checks import ConfigError
from jaxode.config import ModelConfig, RunConfig
from jaxode.data import SPECS, view_shape, views
from jaxode.data.augment import evaluation_views, training_views
from jaxode.data.augmentations import augmented

ICEBERG = RunConfig().replaced(dataset="iceberg", crop="none")
ASL = RunConfig(model=ModelConfig(stem="eighth")).replaced(dataset="asl_alphabet", crop="none")


def bands() -> np.ndarray:
    """Three stored images: decibels, and angles of 30, 45 and none."""
    rng = np.random.default_rng(0)
    stored = rng.normal(-20, 6, (3, 75, 75, 3)).astype(np.float32)
    stored[..., 2] = np.array([30, 45, np.nan])[:, None, None]
    return stored


@pytest.mark.parametrize("model", ["cnn", "odecnn", "odenet"])
def test_models_see_both_bands_near_zero_and_their_mean(model):
    stored = bands()
    config, spec = ICEBERG.replaced(model=model), SPECS["iceberg"]
    shown = views(config, spec).evaluation({"image": jnp.asarray(stored)})["image"]
    one, two = (stored[..., 0] + 20) / 5, (stored[..., 1] + 25) / 5
    np.testing.assert_allclose(shown, np.stack([one, two, (one + two) / 2], -1), atol=1e-5)
    assert shown.shape[1:] == view_shape(config, spec)
    keys = jax.random.split(jax.random.key(0), 3)
    np.testing.assert_array_equal(
        views(config, spec).training({"image": jnp.asarray(stored), "key": keys})["image"], shown
    )


def test_the_angle_is_one_more_plane_and_a_missing_one_the_middle():
    config, spec = ICEBERG.replaced(model="cnn", angle=True), SPECS["iceberg"]
    shown = views(config, spec).evaluation({"image": jnp.asarray(bands())})["image"]
    assert shown.shape[1:] == view_shape(config, spec) == (75, 75, 4)
    np.testing.assert_allclose(shown[:, 10, 20, 3], [-9 / 4, 6 / 4, 0])
    assert np.isfinite(shown).all()


def test_the_dense_net_sees_one_band_over_its_largest_value():
    stored = bands()
    stored[1, ..., 0] = 0
    config, spec = ICEBERG.replaced(model="dense"), SPECS["iceberg"]
    shown = np.asarray(views(config, spec).evaluation({"image": jnp.asarray(stored)})["image"])
    assert shown.shape[1:] == view_shape(config, spec) == (75, 75, 1)
    np.testing.assert_allclose(
        shown[0, ..., 0], stored[0, ..., 0] / np.abs(stored[0, ..., 0]).max(), rtol=1e-6
    )
    np.testing.assert_array_equal(np.abs(shown).max((1, 2, 3)), [1, 0, 1])


@pytest.mark.parametrize(
    ("config", "text"),
    [
        (ICEBERG.replaced(crop="pad"), "crop must be none for iceberg"),
        (ICEBERG.replaced(augment="cutout"), "augment must be none for iceberg"),
        (ICEBERG.replaced(pixels="unit"), "pixels must be normalised for iceberg"),
        (ASL.replaced(angle=True), "angle must be left out for asl_alphabet"),
        (RunConfig().replaced(augment="hue_saturation_value"), "hue_saturation_value"),
    ],
)
def test_what_images_do_not_have_is_refused(config, text):
    with pytest.raises(ConfigError, match=text):
        views(config, SPECS[config.data.dataset])


def test_pictures_of_sign_language_are_shown_whole_and_normalised_by_imagenets_figures():
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3)).astype(np.uint8)
    shown = views(ASL, SPECS["asl_alphabet"]).evaluation({"image": jnp.asarray(images)})["image"]
    wanted = (images / 255 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    np.testing.assert_allclose(shown, wanted, atol=1e-5)


def test_pixels_are_from_0_to_1_where_they_are_asked_for():
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3)).astype(np.uint8)
    shown = views(ASL.replaced(pixels="unit"), SPECS["asl_alphabet"])
    batch = {"image": jnp.asarray(images), "key": jax.random.split(jax.random.key(0), 2)}
    for transform in shown:
        np.testing.assert_array_equal(transform(batch)["image"], images / np.float32(255))


@pytest.mark.parametrize("crop", ["none", "resize"])
def test_augmentations_come_before_normalisation_and_crops(crop):
    images = np.random.default_rng(1).integers(0, 256, (4, 64, 64, 3)).astype(np.uint8)
    keys = jax.random.split(jax.random.key(1), 4)
    spec = SPECS["asl_alphabet"]
    config = ASL.replaced(augment="horizontal_flip,cutout", crop=crop)
    shown = views(config, spec).training({"image": jnp.asarray(images), "key": keys})["image"]
    drawn = augmented(keys, jnp.asarray(images, jnp.float32) / 255, ("horizontal_flip", "cutout"))
    wanted = training_views(keys, 255 * drawn, spec.mean, spec.std, crop=crop, side=64)
    np.testing.assert_allclose(shown, wanted, atol=1e-5)
    assert shown.shape == (4, 64, 64, 3)
    assert not np.allclose(
        shown, evaluation_views(jnp.asarray(images), spec.mean, spec.std, side=64)
    )
