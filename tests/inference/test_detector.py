"""Trained detectors in use: boxes in pixels of each picture, scores, batches."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from jaxode.inference.trained_detector import TrainedDetector
from jaxode.models import DetectorOutputs
from jaxode.models.detector_config import DetectorConfig

SIZES = [(90, 60), (20, 40), (64, 48)]
"""Wider than the canvas, higher, and as large as it."""


def whole_pictures(inputs, batch_size):
    """A detection as large as each picture, a doubtful one, and padding."""
    height, width = np.asarray(inputs.extents).T
    zeros = np.zeros_like(height)
    sure = np.stack([zeros, zeros, width, height, zeros + 0.9, zeros + 1], 1)
    doubtful = np.stack([width / 2, zeros, width, height / 2, zeros + 0.4, zeros], 1)
    nothing = np.stack([*[zeros] * 5, zeros - 1], 1)
    assert len(height) <= batch_size
    return DetectorOutputs(None, np.stack([sure, doubtful, nothing], 1))


@pytest.fixture
def detector():
    names = ("config", "origin", "epoch", "graphdef", "learned")
    trained = SimpleNamespace(predict=whole_pictures, **dict.fromkeys(names))
    sizes = DetectorConfig(2, rows=48, columns=64)
    found = TrainedDetector(trained, sizes, ["a", "b"], [0.5] * 3, [0.2] * 3)
    found.views = SimpleNamespace(evaluation=lambda batch: batch)  # nothing is compiled
    return found


def test_boxes_are_in_pixels_of_the_picture(detector):
    pictures = [Image.new("RGB", size) for size in SIZES]
    found = detector.predict(pictures, batch_size=2, score=0.3)
    for each, (width, height) in zip(found, SIZES, strict=True):
        wanted = [[0, 0, width, height], [width / 2, 0, width, height / 2]]
        np.testing.assert_allclose(each.rows[:, :4], wanted, rtol=1e-6, atol=1e-6)
        assert each.rows[:, 5].tolist() == [1, 0]
    assert [len(each.rows) for each in detector.predict(pictures)] == [1, 1, 1]
