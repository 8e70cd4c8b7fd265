"""Preparing and sampling from the command line."""

from __future__ import annotations

import numpy as np
import pytest
from files import write_idx_set

from jaxode.data import SPECS
from scripts import prepare_data


@pytest.fixture
def small_mnist(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXODE_DATA", str(tmp_path / "cache"))
    monkeypatch.setitem(SPECS, "mnist", write_idx_set(tmp_path / "mnist", train=400, test=200))
    monkeypatch.setattr(prepare_data, "SAMPLE_IMAGES", {"train": 100, "test": 50})
    return str(tmp_path)


def test_a_set_is_prepared(small_mnist, capsys):
    assert prepare_data.main(["mnist", "--data-dir", small_mnist]) == 0
    assert "400 training and 200 test images ready" in capsys.readouterr().out


def test_the_same_sample_is_drawn_again(small_mnist, tmp_path):
    arrays = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        assert (
            prepare_data.main(
                ["mnist", "--data-dir", small_mnist, "--sample", str(tmp_path / name)]
            )
            == 0
        )
        with np.load(tmp_path / name / "mnist.npz", allow_pickle=False) as stored:
            arrays.append({key: stored[key] for key in stored.files})
    one, two = arrays
    assert set(one) == {
        f"{s}_{part}" for s in ("train", "test") for part in ("images", "labels", "positions")
    }
    for key in one:
        np.testing.assert_array_equal(one[key], two[key])
    np.testing.assert_array_equal(np.bincount(one["train_labels"]), [10] * 10)


@pytest.mark.parametrize(
    ("dataset", "sizes", "words"),
    [
        (
            "mnist",
            {"train": 4000, "test": 50},
            "a sample takes 400 images of every class, and class",
        ),
        ("mnist", {"train": 100, "test": 5000}, "a sample takes 500 images of every class"),
        ("iceberg", {"train": 100, "test": 50}, "a sample is of pictures"),
    ],
)
def test_a_sample_that_cannot_be_drawn_is_one_line(
    small_mnist, tmp_path, monkeypatch, capsys, dataset, sizes, words
):
    monkeypatch.setattr(prepare_data, "SAMPLE_IMAGES", sizes)
    command = [dataset, "--data-dir", small_mnist, "--sample", str(tmp_path)]
    assert prepare_data.main(command) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / f"{dataset}.npz").exists()


def test_a_name_with_a_line_break_is_still_one_line(tmp_path, capsys):
    assert prepare_data.main(["mnist", "--data-dir", str(tmp_path / "no\nfolder")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_what_is_missing_is_one_line_and_code_2(tmp_path, capsys):
    assert prepare_data.main(["qmnist", "--data-dir", str(tmp_path / "nothing")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
