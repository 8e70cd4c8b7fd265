"""The task of detection: shares of a loss, sums that add up, what is stored and reported."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxode.models import DetectorOutputs
from jaxode.models.detector_interface import LOSSES
from jaxode.tasks import Detection

BOX, OTHER = [2.0, 2.0, 12.0, 12.0], [20.0, 20.0, 30.0, 30.0]
NOTHING = [0.0, 0.0, 0.0, 0.0, 0.0, -1.0]
NAMES = SimpleNamespace(class_names=("a", "b"))


@pytest.fixture
def batch():
    """Two images and one of padding; the first has an object of each class."""
    boxes = np.array([[BOX, OTHER], [BOX, [0, 0, 0, 0]], [BOX, OTHER]], np.float32)
    return {
        "image": np.zeros((3, 32, 32, 3), np.float32),
        "extent": np.full((3, 2), 32, np.float32),
        "boxes": boxes,
        "classes": np.array([[0, 1], [0, -1], [0, 1]], np.int32),
        "difficult": np.zeros((3, 2), bool),
        "weight": np.array([1, 1, 0], np.float32),
    }


@pytest.fixture
def outputs():
    """Right for class a in the first image, wrong in the second; the third is padding."""
    rows = [
        [[*BOX, 0.9, 0], NOTHING],
        [[*OTHER, 0.6, 0], NOTHING],
        [[*BOX, 0.9, 0], [*OTHER, 0.8, 1]],
    ]
    losses = np.array([[1, 2, 3, 4], [0, 1, 0, 1], [np.nan] * 4], np.float32)
    return DetectorOutputs(jnp.asarray(losses), jnp.asarray(rows, jnp.float32))


def test_a_loss_is_the_mean_over_images_without_padding(batch, outputs):
    loss, found = Detection(2).loss(lambda inputs: outputs, batch, jnp.float32(2))
    assert float(loss) == (10 + 2) / 2
    assert found is outputs


def test_sums_give_scores(batch, outputs):
    task = Detection(2)
    sums = {name: np.asarray(x) for name, x in jax.jit(task.metrics)(outputs, batch).items()}
    assert sums["objects"].tolist() == [2, 1]
    assert (sums["hits"].sum(), sums["misses"].sum(), sums["images"]) == (1, 1, 2)
    scores = task.summarize(sums)
    # Class a finds half of its objects first; class b finds none.
    assert scores["ap50"] == pytest.approx((0.5 + 0) / 2)
    assert (scores["precision"], scores["recall"]) == (1.0, pytest.approx(1 / 3))
    assert [scores[f"{name}_loss"] for name in LOSSES] == [0.5, 1.5, 1.5, 2.5]
    assert "AP50 0.25" in task.progress_text({f"test_{k}": v for k, v in scores.items()})[0]


def test_what_is_stored_is_reported(batch, outputs):
    task = Detection(2)
    found = {name: np.asarray(x) for name, x in task.predictions(outputs, batch).items()}
    stored = task.stored(found, batch)
    assert task.is_stored(stored)
    assert task.belong(stored, batch)
    real = {name: array[:2] for name, array in stored.items()}
    report = task.report(real, NAMES)["detection"]
    assert report["classes"]["a"]["ap50"] == 0.5
    assert report["classes"]["b"]["objects"] == 1
    assert task.report_names(real) == ("detection",)


def test_damaged_predictions_are_told(batch, outputs):
    task = Detection(2)
    found = {name: np.asarray(x) for name, x in task.predictions(outputs, batch).items()}
    stored = task.stored(found, batch)
    whole = {**stored, "detections": stored["detections"].astype(int)}
    assert not task.is_stored(whole)
    assert not task.is_stored({**stored, "classes": stored["classes"][:, :1]})
    assert not Detection(1).is_stored(stored)  # a class that there is none of
    moved = {**stored, "boxes": stored["boxes"] + 1}
    assert not task.belong(moved, batch)


def test_a_loss_may_choose_the_epoch():
    assert (Detection(2).monitor, Detection(2).mode) == ("test_ap50", "max")
    assert Detection(2, "validation_loss").mode == "min"
