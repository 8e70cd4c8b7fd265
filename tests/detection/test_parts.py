"""What padding and extreme inputs do to the parts of a detector; parity has the usual ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxode import detection
from jaxode.detection.losses import mean_of
from jaxode.detection.proposals import Proposals


def test_boxes_without_area_overlap_nothing():
    boxes = jnp.array([[1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 2.0, 2.0]])
    np.testing.assert_array_equal(detection.overlaps(boxes, boxes), [[0, 0], [0, 1]])


def test_images_without_objects_are_background():
    overlap = jnp.full((2, 4), 0.9)
    found = detection.matched(overlap, jnp.zeros(2, bool), 0.7, 0.3, best_too=True)
    assert found.tolist() == [-1] * 4


def test_an_object_that_no_box_overlaps_is_the_best_of_none():
    overlap = jnp.array([[0.0, 0.0], [0.4, 0.1]])
    found = detection.matched(overlap, jnp.ones(2, bool), 0.7, 0.3, best_too=True)
    assert found.tolist() == [1, -1]


def test_a_chain_of_boxes_is_suppressed_as_one_after_the_other():
    """Each overlaps its neighbours alone, so that every second one is kept."""
    start = 4.0 * np.arange(31)
    boxes = jnp.asarray(np.stack([start, 0 * start, start + 10, 0 * start + 10], 1))
    keep = detection.kept(boxes, jnp.ones(31, bool), 0.4)
    assert keep.tolist() == [i % 2 == 0 for i in range(31)]


def test_padding_is_neither_kept_nor_suppresses():
    boxes = jnp.tile(jnp.array([0.0, 0.0, 9.0, 9.0]), (3, 1))
    keep = detection.kept(boxes, jnp.array([False, True, True]), 0.5)
    assert keep.tolist() == [False, True, False]


def test_a_sample_is_chance_by_priorities():
    labels = jnp.asarray(np.repeat([1, 0], [4, 8]))
    chosen = set()
    for seed in range(6):
        priorities = jax.random.uniform(jax.random.key(seed), (12,))
        rows, taken = detection.sampled(labels, priorities, 4, 2)
        assert bool(taken.all())
        chosen.add(tuple(sorted(rows.tolist())))
    assert len(chosen) > 1


def test_a_mean_of_nothing_is_zero_and_has_a_gradient():
    slope = jax.grad(lambda x: mean_of(x, jnp.zeros(2, bool)))(jnp.ones(2))
    assert slope.tolist() == [0, 0]


def test_the_targets_of_background_may_be_anything():
    codes, labels = jnp.ones((2, 4)), jnp.array([1, 0])
    targets = jnp.array([[1.0] * 4, [-jnp.inf] * 4])

    def loss(codes):
        return detection.box_loss(codes, targets, labels, jnp.ones(2, bool))

    value, slope = jax.value_and_grad(loss)(codes)
    assert float(value) == 0
    assert bool(jnp.isfinite(slope).all())


def test_roi_align_of_a_plane_is_the_plane():
    """Bilinear samples of a linear function are exact within the map."""
    y, x = jnp.meshgrid(jnp.arange(12.0), jnp.arange(16.0), indexing="ij")
    maps = jnp.stack([2 * y - x, jnp.ones_like(x)], -1)
    box = jnp.array([[2.0, 3.0, 9.0, 10.0]])
    found = detection.roi_align(maps, box, (1, 1), bins=7)[0]
    middle = jnp.arange(7) + 0.5
    wanted = 2 * (3 + middle)[:, None] - (2 + middle)
    np.testing.assert_allclose(found[..., 0], wanted, atol=1e-4)
    np.testing.assert_allclose(found[..., 1], 1, atol=1e-6)


@pytest.mark.parametrize("real", [True, False])
def test_detections_are_filled_up(real):
    found = Proposals(jnp.array([[0.0, 0.0, 4.0, 4.0]]), jnp.array([real]))
    rows = detection.detections(
        jnp.array([[0.0, 3.0, 2.9]]),
        jnp.zeros((1, 3, 4)),
        found,
        jnp.array([8.0, 8.0]),
        weights=(1, 1, 1, 1),
        count=4,
    )
    assert rows.shape == (4, 6)
    assert rows[:, 5].tolist() == ([0, 1, -1, -1] if real else [-1] * 4)
