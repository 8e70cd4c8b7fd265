"""The bundled samples and the facts of each set, against the original files where there are any."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from jaxode.data import SPECS, original_files
from jaxode.data.bundled import read_sample


@pytest.mark.parametrize("name", [name for name, spec in SPECS.items() if spec.sampled])
def test_samples_are_stratified(name):
    for (images, labels), count in zip(read_sample(SPECS[name]), (2000, 500), strict=True):
        side = SPECS[name].image_size
        assert images.shape == (count, side, side, SPECS[name].channels)
        assert images.dtype == np.uint8
        np.testing.assert_array_equal(np.bincount(labels), [count // 10] * 10)


def _originals(name, real_data):
    found = original_files.find(SPECS[name], real_data)
    if found is None:
        pytest.skip(f"no original files of {name} in the folder of test data")
    return SPECS[name].reader.arrays(SPECS[name], original_files.read(SPECS[name], found))


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10"])
def test_samples_are_the_originals_at_the_stored_positions(name, real_data):
    full = _originals(name, real_data)
    path = Path(original_files.__file__).parent / "samples" / f"{name}.npz"
    with np.load(path, allow_pickle=False) as stored:
        for split, (images, labels) in zip(
            ("train", "test"), read_sample(SPECS[name]), strict=True
        ):
            positions = stored[f"{split}_positions"]
            np.testing.assert_array_equal(full[split][0][positions], images)
            np.testing.assert_array_equal(full[split][1][positions], labels)


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10"])
def test_normalisation_is_that_of_the_training_images(name, real_data):
    spec = SPECS[name]
    images = _originals(name, real_data)["train"][0]
    values = np.arange(256) / 255
    for channel, (mean, std) in enumerate(zip(spec.mean, spec.std, strict=True)):
        pixels = images[..., channel].ravel()
        share = np.bincount(pixels, minlength=256) / pixels.size
        found = share @ values
        np.testing.assert_allclose(mean, found, atol=5e-5)
        np.testing.assert_allclose(std, np.sqrt(share @ (values - found) ** 2), atol=5e-5)


def test_specs_are_consistent():
    for name, spec in SPECS.items():
        assert spec.name == name
        classes = {"cifar100": 100, "asl_alphabet": 29, "iceberg": 2}.get(name, 10)
        assert len(set(spec.class_names)) == spec.classes == classes
        assert len(spec.mean) == len(spec.std) == spec.channels
        assert all(file.url for file in ([spec.archive] if spec.archive else spec.files))
        fetched = bool(spec.files)
        assert spec.predefined_split == fetched == (not spec.source.startswith("https://"))
