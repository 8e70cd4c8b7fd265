"""Counts and scores, compared with scikit-learn's."""

import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    precision_recall_fscore_support,
    roc_auc_score,
)

from jaxode.metrics import accuracy, auroc, confusion, macro, report, scores

RNG = np.random.default_rng(7)
LABELS = RNG.choice([0, 1, 2, 4], 200)  # no image of class 3 or 5
TAKEN = np.where(
    RNG.random(200) < 0.6, LABELS, RNG.choice([0, 1, 3, 4], 200)
)  # nothing is wrongly taken for 2
COUNTS = confusion_matrix(LABELS, TAKEN, labels=range(6))


def test_confusion_leaves_padding_out():
    logits = 2.0 * np.eye(6)[TAKEN] - 1
    weights = np.where(np.arange(200) < 150, 1.0, 0.0)
    weights[:20] = 0.25
    found = confusion(jnp.asarray(logits), jnp.asarray(LABELS), jnp.asarray(weights))
    np.testing.assert_array_equal(
        found, confusion_matrix(LABELS[:150], TAKEN[:150], labels=range(6))
    )
    assert found.dtype == jnp.int32


def test_scores_of_each_class():
    expected = precision_recall_fscore_support(LABELS, TAKEN, labels=range(6), zero_division=0)
    for found, wanted in zip(scores(COUNTS), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_macro_means_leave_out_classes_that_nobody_speaks_of():
    expected = precision_recall_fscore_support(LABELS, TAKEN, average="macro", zero_division=0)
    assert list(macro(COUNTS).values()) == pytest.approx(expected[:3], rel=1e-12)
    assert accuracy(COUNTS) == pytest.approx(accuracy_score(LABELS, TAKEN))


def test_a_report_names_the_classes():
    found = report(COUNTS, tuple("abcdef"))
    assert found["by_class"]["c"]["precision"] == 1.0
    assert found["by_class"]["d"]["images"] == 0
    assert found["confusion"] == COUNTS.tolist()
    assert (found["accuracy"], found["macro"]) == (accuracy(COUNTS), macro(COUNTS))


@pytest.mark.parametrize("digits", [1, 12])  # with equal scores and without
def test_the_area_under_the_roc_curve_is_scikit_learns(digits):
    labels = (LABELS > 1).astype(np.float64)
    drawn = np.round(RNG.normal(size=200) + 0.5 * labels, digits)
    assert auroc(labels, drawn) == pytest.approx(roc_auc_score(labels, drawn), rel=1e-12)


def test_without_both_labels_there_is_no_curve():
    with pytest.raises(ValueError, match="each at least once, got 3 of 1"):
        auroc(np.ones(3), np.arange(3.0))
