"""Pictures of detections are PNG files."""

import numpy as np

from jaxode.detection.matches import Truth
from jaxode.plots.detections import BoxedPicture, class_curves, draw_boxes, draw_curves

BOX = [2.0, 2.0, 12.0, 12.0]


def test_curves_of_classes_with_objects():
    detections = np.array([[[*BOX, 0.9, 0], [*BOX, 0.8, 0]]])
    truth = Truth(np.array([[BOX]]), np.array([[0]]), np.zeros((1, 1), bool))
    (curve,) = class_curves(detections, truth, ["cell", "none"])
    assert curve.precision.tolist() == [1.0, 0.5]
    assert curve.recall.tolist() == [1.0, 1.0]
    assert draw_curves([curve], "title")[:4] == b"\x89PNG"


def test_pictures_with_and_without_known_objects():
    pixels, found = np.zeros((16, 20, 3), np.uint8), np.array([[*BOX, 0.9, 0], [0, 0, 0, 0, 0, -1]])
    pictures = [
        BoxedPicture("one", pixels, found, np.array([BOX]), np.array([0])),
        BoxedPicture("two", pixels, found),
    ]
    assert draw_boxes(pictures, ["cell"], "title")[:4] == b"\x89PNG"
