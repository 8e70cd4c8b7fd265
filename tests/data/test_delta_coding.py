"""Colour images survive their stored form."""

from __future__ import annotations

import numpy as np
import pytest

from jaxode.data.delta_coding import from_differences, to_differences


@pytest.mark.parametrize("channels", [1, 3])
def test_the_images_come_back(channels):
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 9, channels), dtype=np.uint8)
    images[0] = 0
    images[1] = 255
    before = images.copy()
    back = from_differences(to_differences(images))
    assert back.dtype == np.uint8
    np.testing.assert_array_equal(back, before)
    np.testing.assert_array_equal(images, before)


def test_a_ramp_is_nearly_all_zeros():
    ramp = np.add.outer(np.arange(8), 2 * np.arange(8)).astype(np.uint8)
    planes = to_differences(np.stack([ramp + 3, ramp, ramp + 9], axis=-1)[None])
    assert not planes[:, :, 1:, 1:].any()
