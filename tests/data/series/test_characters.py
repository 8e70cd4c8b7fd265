"""Character trajectories: letters of one array, one after the other."""

import numpy as np
import pytest

from jaxode.checks import ConfigError
from jaxode.data import DataError
from jaxode.data.series import read_characters, stratified_split


def arrays():
    values = np.arange(15.0).reshape(5, 3)
    return {"values": values, "lengths": [2, 3], "labels": [1, 0], "key": ["a", "b"]}


def written(path, **changes):
    kept = {name: array for name, array in (arrays() | changes).items() if array is not None}
    np.savez(path, **kept)
    return path


@pytest.fixture
def path(tmp_path):
    return tmp_path / "labelled.npz"


def test_letters_stand_one_after_the_other(path):
    series = read_characters(written(path), times="index")
    assert series.times.tolist() == [[0, 1, 1], [0, 1, 2]]
    assert series.values[0].tolist() == [[0, 1, 2], [3, 4, 5], [0, 0, 0]]
    assert series.values[1, 2].tolist() == [12, 13, 14]
    assert [series.class_names[label] for label in series.labels] == ["b", "a"]
    assert read_characters(path).times.tolist() == [[0, 0.5, 0.5], [0, 0.5, 1]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"key": None}, "no key"),
        ({"values": np.ones((5, 2))}, r"values must be numbers \[K, 3\]"),
        ({"values": np.full((5, 3), np.nan)}, "series 0: a value is not finite"),
        ({"lengths": [2, 2]}, "add up to the number of values, 5"),
        ({"lengths": np.array([2**63, 2**63 + 5], np.uint64)}, "add up"),
        ({"lengths": [5, 0]}, "lengths must be"),
        ({"lengths": [2.0, 3.0]}, "lengths must be"),
        ({"labels": [0, 2]}, "series 1: label"),
        ({"labels": [0]}, "labels must be 2"),
        ({"key": [0, 1]}, "key must be letters"),
        ({"key": np.array(["a", None], object)}, "key' is no array"),
    ],
)
def test_arrays_that_do_not_fit_are_named(path, changes, message):
    with pytest.raises(DataError, match=rf"labelled\.npz.*{message}"):
        read_characters(written(path, **changes))


def test_what_cannot_be_read_is_answered(path):
    with pytest.raises(ConfigError, match="cannot read"):
        read_characters(path)
    path.write_bytes(b"no zip")
    with pytest.raises(DataError, match="no whole zip"):
        read_characters(path)
    with pytest.raises(ConfigError, match="times must be one of unit, index"):
        read_characters(path, times="hours")


def test_the_real_letters(real_data):
    series = read_characters(real_data / "character_trajectories" / "labelled.npz")
    assert series.values.shape == (1429, 205, 3)
    assert "".join(series.class_names) == "abcdeghlmnopqrsuvwyz"
    assert (series.lengths.min(), series.lengths.sum()) == (109, 244_253)
    assert series.times.max() == 1
    parts = stratified_split(series)
    assert [len(part) for part in parts] == [1000, 214, 215]
    shares = np.bincount(parts.train.labels) / np.bincount(series.labels)
    assert np.abs(shares - 0.7).max() < 0.02
    dropped = series.drop_points(0.3, seed=0)
    np.testing.assert_array_equal(dropped.lengths, series.lengths - 3 * series.lengths // 10)
