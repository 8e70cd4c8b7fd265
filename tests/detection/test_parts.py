"""What padding and extreme inputs do to the parts of a detector; parity has the usual ones."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxode import detection
from jaxode.detection.losses import mean_of
from jaxode.detection.proposals import Proposals


def test_boxes_without_area_overlap_nothing():
    boxes = np.array([[1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 2.0, 2.0]])
    found = jax.jit(detection.overlaps)(boxes, boxes)
    np.testing.assert_array_equal(found, [[0, 0], [0, 1]])


match = jax.jit(partial(detection.matched, high=0.7, low=0.3, best_too=True))
suppress = jax.jit(partial(detection.kept, threshold=0.4))


def test_images_without_objects_are_background():
    overlap = np.full((2, 2), 0.9)
    assert match(overlap, np.zeros(2, bool)).tolist() == [-1, -1]


def test_an_object_that_no_box_overlaps_is_the_best_of_none():
    overlap = np.array([[0.0, 0.0], [0.4, 0.1]])
    assert match(overlap, np.ones(2, bool)).tolist() == [1, -1]


def test_equal_overlaps_and_those_at_a_limit_are_torchvisions():
    """All boxes that overlap an object most are its own; of equal objects, a box is the first's."""
    one = np.array([True, False])
    assert match(np.array([[0.5, 0.5], [0.0, 0.0]]), one).tolist() == [0, 0]
    assert match(np.array([[0.8, 0.8], [0.8, 0.4]]), ~np.zeros(2, bool)).tolist() == [0, 0]
    assert match(np.array([[0.7, 0.8], [0.0, 0.0]]), one).tolist() == [0, 0]
    assert match(np.array([[0.8, 0.3], [0.0, 0.0]]), one).tolist() == [0, -2]


def test_a_chain_of_boxes_is_suppressed_as_one_after_the_other():
    """Each overlaps its neighbours alone, so that every second one is kept."""
    start = 4.0 * np.arange(31)
    boxes = np.stack([start, 0 * start, start + 10, 0 * start + 10], 1)
    assert suppress(boxes, np.ones(31, bool)).tolist() == [i % 2 == 0 for i in range(31)]


def test_padding_is_neither_kept_nor_suppresses():
    boxes = np.tile(np.array([0.0, 0.0, 9.0, 9.0]), (31, 1))
    keep = suppress(boxes, np.arange(31) > 3)
    assert np.flatnonzero(keep).tolist() == [4]


def test_boxes_that_overlap_by_the_threshold_are_both_kept():
    boxes = np.zeros((31, 4))
    boxes[:2] = [[0, 0, 7, 1], [3, 0, 10, 1]]  # 4 of 10
    assert np.flatnonzero(suppress(boxes, np.arange(31) < 2)).tolist() == [0, 1]


def test_a_sample_is_chance_by_priorities():
    labels, chosen = np.repeat([1, 0], [4, 8]), set()
    draw = jax.jit(partial(detection.sampled, count=4, positives=2))
    for seed in range(6):
        priorities = np.random.default_rng(seed).uniform(size=12)
        rows, taken = draw(labels, priorities)
        assert np.all(taken)
        positives, negatives = np.argsort(-priorities[:4]), 4 + np.argsort(-priorities[4:])
        assert set(rows.tolist()) == {*positives[:2], *negatives[:2]}
        chosen.add(tuple(sorted(rows.tolist())))
    assert len(chosen) > 1


def test_a_mean_of_nothing_is_zero_and_has_a_gradient():
    slope = jax.jit(jax.grad(lambda x: mean_of(x, jnp.zeros(2, bool))))(np.ones(2))
    assert slope.tolist() == [0, 0]


def test_the_targets_of_background_may_be_anything():
    codes, labels = np.ones((2, 4)), np.array([1, 0])
    targets = np.array([[1.0] * 4, [-np.inf] * 4])

    def loss(codes):
        wanted, kinds = jnp.asarray(targets), jnp.asarray(labels)
        return detection.box_loss(codes, wanted, kinds, jnp.ones(2, bool))

    value, slope = jax.jit(jax.value_and_grad(loss))(codes)
    assert float(value) == 0
    assert np.isfinite(slope).all()


def test_roi_align_of_a_plane_is_the_plane():
    """Bilinear samples of a linear function are exact within the map."""
    y, x = np.meshgrid(np.arange(12.0), np.arange(16.0), indexing="ij")
    maps = np.stack([2 * y - x, np.ones_like(x)], -1)
    box = np.array([[2.0, 6.0, 9.0, 20.0]])
    found = jax.jit(partial(detection.roi_align, scale=(0.5, 1.0)))(maps, box)[0]
    middle = np.arange(7) + 0.5
    wanted = 2 * (3 + middle)[:, None] - (2 + middle)
    np.testing.assert_allclose(found[..., 0], wanted, atol=1e-4)
    np.testing.assert_allclose(found[..., 1], 1, atol=1e-6)


detect = jax.jit(partial(detection.detections, weights=(1.0, 1.0, 1.0, 1.0), count=4))


@pytest.mark.parametrize("real", [True, False])
def test_detections_are_filled_up(real):
    found = Proposals(np.array([[0.0, 0.0, 4.0, 4.0]]), np.array([real]))
    rows = detect(np.array([[0.0, 3.0, 2.9]]), np.zeros((1, 3, 4)), found, np.array([8.0, 8.0]))
    assert rows.shape == (4, 6)
    assert rows[:, 5].tolist() == ([0, 1, -1, -1] if real else [-1] * 4)
