"""Splits of series."""

import subprocess
import sys

import numpy as np
import pytest
from sklearn.model_selection import train_test_split

from jaxode.checks import ConfigError
from jaxode.data import DataError
from jaxode.data.series import pad, random_split, stratified_split


def numbered(count, labels=None):
    return pad([([0], [[k]]) for k in range(count)], labels)


def rows(series):
    return series.values.ravel().astype(int).tolist()


@pytest.mark.parametrize(("count", "share", "seed"), [(4000, 0.8, 42), (101, 0.7, 0), (2, 0.5, 7)])
def test_a_random_split_is_scikit_learns(count, share, seed):
    train, test, validation = random_split(numbered(count), share, seed)
    expected = train_test_split(list(range(count)), train_size=share, random_state=seed)
    assert [rows(train), rows(test)] == expected
    assert validation is None


def test_a_stratified_split_has_each_class_by_its_share():
    labels = np.repeat([0, 1, 2], [200, 100, 20])
    series = numbered(320, labels)
    parts = stratified_split(series, seed=3)
    assert sorted(row for part in parts for row in rows(part)) == list(range(320))
    counts = [np.bincount(part.labels).tolist() for part in (parts.train, parts.validation)]
    assert counts == [[140, 70, 14], [30, 15, 3]]
    assert rows(stratified_split(series, seed=3).test) == rows(parts.test)
    assert rows(stratified_split(series, seed=4).test) != rows(parts.test)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: random_split(numbered(5), 1.0), ConfigError, "train_share"),
        (lambda: random_split(numbered(5), 0.5, -1), ConfigError, "seed"),
        (lambda: random_split(numbered(5), 0.1), DataError, "cannot be split"),
        (lambda: stratified_split(numbered(5)), DataError, "without labels"),
        (lambda: stratified_split(numbered(5, [0] * 5), (0.5, 0.2, 0.2)), ConfigError, "sum of 1"),
        (lambda: stratified_split(numbered(5, [0] * 5), (0.7, 0.3, 0.0)), ConfigError, "shares"),
        (lambda: stratified_split(numbered(2, [0] * 2)), DataError, "too few"),
    ],
)
def test_a_split_that_cannot_be_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_the_package_waits_for_no_slow_library():
    code = (
        "import sys, jaxode.data.series as s; s.draw_spirals(2); "
        "print([m for m in ('jax', 'flax', 'torch', 'sklearn', 'scipy') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"
