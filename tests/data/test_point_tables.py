"""Tables of points: what is read, and how a wrong file is answered."""

import lzma
import os

import numpy as np
import pytest

from jaxode.checks import ConfigError
from jaxode.data import DataError
from jaxode.data.point_tables import gaussian_score, read_array, read_patches, read_wine


def wine(path, rows, separator=","):
    lines = [separator.join(f"{x:.3f}" for x in row) for row in rows]
    path.write_text("\n".join([separator.join(["name"] * 12), *lines]) + "\n")
    return path


@pytest.mark.parametrize("separator", [",", ";"])
def test_folds_of_wine_are_all_rows_once_and_standardised(tmp_path, separator):
    rows = np.random.default_rng(0).normal(3, 2, (57, 12))
    path = wine(tmp_path / "wine.csv", rows, separator)
    train, test = read_wine(path, 3)
    assert train.shape == (51, 11)
    assert test.shape == (6, 11)
    np.testing.assert_allclose(train.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(train.std(0), 1, atol=1e-5)
    found = read_wine(path, 3)
    back = np.concatenate([found.train, found.test]) * found.scale + found.shift
    np.testing.assert_allclose(np.sort(back, 0), np.sort(np.round(rows[:, :-1], 3), 0), atol=1e-4)
    assert sum(len(read_wine(path, fold).test) for fold in range(10)) == 57


@pytest.mark.parametrize(
    ("line", "message"), [("1,2,x" + ",0" * 9, "line 13: must be"), ("1,2", "line 13: must be 12")]
)
def test_a_malformed_row_is_named(tmp_path, line, message):
    path = wine(tmp_path / "wine.csv", np.ones((11, 12)))
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(DataError, match=message):
        read_wine(path, 0)


def test_patches_lose_their_mean_and_a_pixel(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {name: rng.integers(0, 256, (20, 64), np.uint8) for name in ("train", "test")}
    with lzma.open(tmp_path / "p.npz.xz", "wb") as file:
        np.savez(file, **arrays)
    train, test = read_patches(tmp_path / "p.npz.xz")
    assert train.shape == test.shape == (20, 63)
    values = arrays["train"] / 256
    expected = (values - values.mean(1, keepdims=True))[:, :-1]
    assert 0 < np.abs(train - expected).max() < 1 / 256


@pytest.mark.parametrize("content", [np.ones(20), np.ones((5, 2)), np.full((20, 2), np.nan)])
def test_a_wrong_array_is_refused(tmp_path, content):
    np.save(tmp_path / "a.npy", content)
    with pytest.raises(ConfigError, match="must be an array"):
        read_array(tmp_path / "a.npy", 0)
    with pytest.raises(ConfigError, match="cannot read"):
        read_array(tmp_path / "none.npy", 0)


@pytest.mark.parametrize("read", [lambda path: read_wine(path, 0), read_patches])
@pytest.mark.parametrize("way", ["pipe", "endless"])
def test_what_is_no_regular_file_is_refused_at_once(tmp_path, read, way):
    path = tmp_path / "points"
    os.mkfifo(path) if way == "pipe" else path.symlink_to("/dev/zero")
    with pytest.raises(ConfigError, match="cannot read"):
        read(path)


def test_numbers_too_far_apart_to_be_standardised_are_refused(tmp_path):
    rows = np.ones((20, 2))
    rows[3, 1] = 1e200
    np.save(tmp_path / "a.npy", rows)
    with pytest.raises(DataError, match="too far apart"):
        read_array(tmp_path / "a.npy", 0)


def test_the_gaussian_of_the_real_wine_scores_as_published(real_data):
    """-13.18 nats for red wine (Uria et al. 2013)."""
    path = real_data / "uci_wine" / "winequality-red.csv"
    scores = [gaussian_score(read_wine(path, fold)) for fold in range(10)]
    assert np.mean(scores) == pytest.approx(-13.18, abs=0.03)
