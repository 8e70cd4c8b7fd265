"""Average precisions against pycocotools and by hand; precision, recall, F1."""

import contextlib
import io
import math

import jax
import numpy as np
import pytest

from jaxode.detection import average_precision, detection_scores
from jaxode.detection.average_precision import average_precision_of_counts
from jaxode.detection.counting import BINS, counted
from jaxode.detection.matches import Truth, ranked

NAMES = ("a", "b", "c")
BOX = [10.0, 10.0, 30.0, 30.0]


def drawn(seed=0, images=12, objects=6, found=15):
    """Detections near objects and elsewhere, of three classes; the last class has no object."""
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 60, (images, objects, 2))
    boxes = np.concatenate([low, low + rng.uniform(10, 30, (images, objects, 2))], -1)
    classes = rng.integers(0, 2, (images, objects))
    classes[:, -1] = -1
    classes[3] = -1
    rows = np.zeros((images, found, 6))
    for image in range(images):
        near = rng.integers(0, objects, found)
        rows[image, :, :4] = boxes[image, near] + rng.normal(0, 2.5, (found, 4))
        rows[image, :, 5] = np.where(rng.uniform(size=found) < 0.8, classes[image, near], 2)
    rows[..., 4] = rng.permutation(images * found).reshape(images, found) / (images * found)
    order = np.argsort(-rows[..., 4], 1)
    rows = np.take_along_axis(rows, order[..., None], 1)
    return rows, Truth(boxes, classes, np.zeros(classes.shape, bool))


def coco_scores(rows, truth):
    """AP, AP at 0.5 and at 0.75 of pycocotools."""
    coco = pytest.importorskip("pycocotools.coco")
    evaluation = pytest.importorskip("pycocotools.cocoeval")
    annotations = [
        {
            "id": len(NAMES) * 1000 + 100 * image + i, "image_id": image, "iscrowd": 0,
            "category_id": int(kind), "bbox": [*box[:2], *(box[2:] - box[:2])],
            "area": float(np.prod(box[2:] - box[:2])),
        }
        for image, (boxes, kinds) in enumerate(zip(truth.boxes, truth.classes, strict=True))
        for i, (box, kind) in enumerate(zip(boxes, kinds, strict=True))
        if kind >= 0
    ]  # fmt: skip
    results = [
        {
            "image_id": image, "category_id": int(row[5]), "score": row[4],
            "bbox": [*row[:2], *(row[2:4] - row[:2])],
        }
        for image, found in enumerate(rows)
        for row in found
        if row[5] >= 0
    ]  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()):
        known = coco.COCO()
        known.dataset = {
            "images": [{"id": i} for i in range(len(rows))],
            "annotations": annotations,
            "categories": [{"id": i} for i in range(len(NAMES))],
        }
        known.createIndex()
        judge = evaluation.COCOeval(known, known.loadRes(results), "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return judge.stats[:3]


@pytest.mark.parametrize("seed", range(4))
def test_coco_scores_are_pycocotools(seed):
    rows, truth = drawn(seed)
    wanted = coco_scores(rows, truth)
    found = detection_scores(rows, truth, NAMES)
    half = [
        average_precision(each.hits[0], each.objects, "coco")
        for each in (ranked(rows, truth, k, np.array([0.5]), coco=True) for k in range(2))
    ]
    assert 0.05 < wanted[0] < 0.9
    np.testing.assert_allclose([found["ap"], np.mean(half), found["ap75"]], wanted, atol=1e-12)
    assert found["classes"]["c"]["ap"] is None


def test_the_curve_by_hand():
    """Five detections, four objects: precision 1, 1, 2/3, 3/4, 3/5 at recalls ¼, ½, ½, ¾, ¾."""
    hits = np.array([True, True, False, True, False])
    assert average_precision(hits, 4, "area") == pytest.approx((0.25 + 0.25) * 1 + 0.25 * 0.75)
    # Recalls 0 to 0.5 are six of the eleven, 0.6 and 0.7 two.
    assert average_precision(hits, 4, "eleven") == pytest.approx((6 * 1 + 2 * 0.75) / 11)
    assert math.isnan(average_precision(hits, 0))
    # Precision 0, 1/2, 2/3, of which the largest from there on counts, in ranges of score too.
    late = np.array([False, True, True])
    assert average_precision(late, 2) == pytest.approx(2 / 3)
    binned = average_precision_of_counts(late.astype(int), (~late).astype(int), 2)
    assert binned == pytest.approx(2 / 3)
    assert average_precision(np.zeros(0, bool), 2) == 0


def one_image(rows, boxes, classes, difficult=None):
    hard = np.zeros(len(classes), bool) if difficult is None else np.array(difficult)
    return np.array([rows]), Truth(np.array([boxes]), np.array([classes]), hard[None])


def test_a_second_detection_of_an_object_is_wrong():
    rows = [[*BOX, 0.9, 0], [*BOX, 0.8, 0], [*BOX, 0.7, 1]]
    found = detection_scores(*one_image(rows, [BOX], [0]), ["a", "b"])
    assert found["ap50"] == found["classes"]["a"]["ap50"] == 1.0
    assert found["classes"]["b"]["ap50"] is None
    assert (found["precision"], found["recall"], found["threshold"]) == (1.0, 1.0, 0.9)


def test_by_vocs_rule_a_detection_may_only_find_its_nearest_object():
    near, far = [0.0, 0.0, 20.0, 20.0], [4.0, 0.0, 24.0, 20.0]
    rows = [[*near, 0.9, 0], [1.0, 0.0, 21.0, 20.0, 0.8, 0]]  # the second overlaps both
    detections, truth = one_image(rows, [near, far], [0, 0])
    assert ranked(detections, truth, 0, np.array([0.5])).hits.tolist() == [[True, False]]
    assert ranked(detections, truth, 0, np.array([0.5]), coco=True).hits.tolist() == [[True, True]]


@pytest.mark.parametrize("coco", [False, True])
def test_difficult_objects_count_for_nothing(coco):
    other = [50.0, 50.0, 70.0, 70.0]
    detections, truth = one_image(
        [[*BOX, 0.9, 0], [*other, 0.8, 0]], [BOX, other], [0, 0], [True, False]
    )
    ranking = ranked(detections, truth, 0, np.array([0.5]), coco=coco)
    assert ranking.objects == 1
    assert ranking.counts.tolist() == [[False, True]]
    assert ranking.hits.tolist() == [[False, True]]


def test_no_detections_at_all():
    detections, truth = one_image([[0, 0, 0, 0, 0, -1.0]], [BOX], [0])
    found = detection_scores(detections, truth, ["a"])
    assert (found["ap50"], found["ap"], found["f1"], found["recall"]) == (0, 0, 0, 0)


def test_the_best_threshold_is_that_of_the_largest_f1():
    rows, truth = drawn(7)
    found = detection_scores(rows, truth, NAMES)
    shown = [ranked(rows, truth, kind, np.array([0.5])) for kind in range(3)]
    each = []
    for threshold in np.unique(rows[..., 4]):
        taken = [one.scores >= threshold for one in shown]
        hits = sum(int(one.hits[0][t].sum()) for one, t in zip(shown, taken, strict=True))
        count = sum(int(t.sum()) for t in taken)
        each.append(2 * hits / (count + sum(one.objects for one in shown)))
    assert found["f1"] == pytest.approx(max(each), rel=1e-12)


def test_sums_on_the_device_are_those_of_the_host():
    rows, truth = drawn(1)
    hard = np.zeros(truth.classes.shape, bool)
    hard[:, 0] = True
    truth = truth._replace(difficult=hard)
    hits, misses = np.zeros((3, BINS), int), np.zeros((3, BINS), int)
    count = jax.jit(counted, static_argnums=4)
    for row, *image in zip(rows, *truth, strict=True):
        sums = count(row, *image, 3)
        hits, misses = hits + np.asarray(sums["hits"]), misses + np.asarray(sums["misses"])
    for kind in range(2):
        ranking = ranked(rows, truth, kind, np.array([0.5]))
        bins = np.minimum((ranking.scores * BINS).astype(int), BINS - 1)
        for found, wanted in (
            (hits, ranking.hits[0]),
            (misses, ranking.counts[0] & ~ranking.hits[0]),
        ):
            counts = np.bincount(bins[wanted], minlength=BINS)
            np.testing.assert_array_equal(found[kind], counts)
        exact = average_precision(ranking.hits[0][ranking.counts[0]], ranking.objects)
        binned = average_precision_of_counts(hits[kind][::-1], misses[kind][::-1], ranking.objects)
        assert binned == pytest.approx(exact, abs=0.03)
