"""Figures: what they show, and that they are PNG files."""

import numpy as np
import pytest

from jaxode.plots import confusion_matrix, learning_curves, nfe_by_class
from jaxode.plots.nfe_by_class import bin_edges, chosen_classes, shown


def epoch(number, nfe):
    return {
        "epoch": number,
        "loss": 1 / number,
        "test_loss": 1.1 / number,
        "train_accuracy": None if number == 1 else 0.5,
        "test_accuracy": 0.5,
        "nfe_forward": nfe,
        "nfe_forward_train": nfe,
    }


@pytest.mark.parametrize("metric", [None, ("accuracy", "accuracy in %", 100.0)])
@pytest.mark.parametrize("nfe", [26.0, None])
@pytest.mark.parametrize("count", [1, 4])
def test_learning_curves_are_drawn(metric, nfe, count):
    history = [epoch(number, nfe) for number in range(1, count + 1)]
    png = learning_curves.draw(history, "a run", "cross-entropy", metric)
    assert png.startswith(b"\x89PNG")
    panels = 1 + (metric is not None) + (nfe is not None)
    assert int.from_bytes(png[16:20], "big") == round(110 * (4.6 + 4 * (panels - 1)))


def test_nfe_by_class_is_drawn(caplog):
    rng = np.random.default_rng(0)
    labels, nfe = rng.integers(0, 3, 400), 26 + 6 * rng.integers(0, 4, 400)
    pixels = rng.integers(0, 256, (28, 28, 3)).astype(np.uint8)
    images = {
        "most": [(pixels, "a: 44")] * 7,
        "fewest": [(pixels[..., :1], "b: 26"), (-0.1 * pixels, "c: 26")],
        "none": [],
    }
    png = nfe_by_class.draw(nfe, labels, [f"class_{k}" for k in range(4)], images, "a run")
    assert png.startswith(b"\x89PNG")
    assert caplog.messages == []  # matplotlib says where it clips


@pytest.mark.parametrize("classes", [3, 40])
def test_a_confusion_matrix_is_drawn(classes):
    counts = np.random.default_rng(1).integers(0, 9, (classes, classes))
    counts[1] = 0
    png = confusion_matrix.draw(counts, [f"class_{k}" for k in range(classes)], "a run")
    assert png.startswith(b"\x89PNG")


def test_of_many_classes_the_ends_are_shown():
    labels = np.repeat(np.arange(50), 2)
    shown = chosen_classes(labels * 6, labels, 60)  # ten of them without images
    assert shown == [*range(49, 39, -1), *range(9, -1, -1)]
    assert chosen_classes(labels * 6, labels % 10, 60) == list(range(10))


@pytest.mark.parametrize(
    ("nfe", "edges"), [([26, 32, 44, 32], [23, 29, 35, 41, 47]), ([20, 20], [19.5, 20.5])]
)
def test_each_count_has_a_bin(nfe, edges):
    np.testing.assert_allclose(bin_edges(np.array(nfe)), edges)


@pytest.mark.parametrize(("counts", "together"), [(60, 1), (61, 2), (71, 2), (120, 2), (150, 3)])
def test_bins_of_many_counts_hold_as_many_each(counts, together):
    nfe = 20 + 6 * np.arange(counts)
    heights, _ = np.histogram(nfe, bin_edges(nfe))
    full, rest = divmod(counts, together)
    assert heights.tolist() == full * [together] + ([rest] if rest else [])


def test_of_measurements_the_first_band_is_shown_from_black_to_white():
    decibels = np.stack(
        [np.linspace(-45.5, -5.5, 81).reshape(9, 9), np.full((9, 9), 1e3)], -1
    ).astype(np.float32)
    grey = shown(np.concatenate([decibels, decibels[..., :1]], -1))
    assert (grey.dtype, grey.shape) == (np.uint8, (9, 9))
    assert grey.ravel()[[0, 40, 80]].tolist() == [0, 128, 255]
    assert not shown(np.full((2, 2, 3), -20.0, np.float32)).any()
    picture = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    np.testing.assert_array_equal(shown(picture), picture)
    np.testing.assert_array_equal(shown(picture[..., :1]), picture[..., 0])
