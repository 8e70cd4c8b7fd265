"""Hand signs and icebergs from the command line: the one loop, the one record, every mistake in one
line.
"""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from experiments import asl_alphabet, iceberg, mnist
from jaxode.data import SPECS, load
from scripts import iceberg_file
from scripts.restore import restored

pytestmark = pytest.mark.usefixtures("no_pictures")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXODE_DATA", str(tmp_path / "cache"))


def printed(capsys, experiment, code, *argv):
    """The last line on stderr, or all of stdout where the run went well."""
    capsys.readouterr()
    assert experiment.main([str(word) for word in argv]) == code
    captured = capsys.readouterr()
    return captured.err.strip().splitlines()[-1] if code else captured.out


@pytest.fixture(scope="module")
def radar(tmp_path_factory):
    """A folder with a made-up train.json of 40 rows."""
    folder = tmp_path_factory.mktemp("radar")
    assert iceberg_file.main(["--out", str(folder / "train.json"), "--rows", "40"]) == 0
    return folder


def test_a_net_learns_radar_images(radar, tmp_path, capsys):
    argv = [
        "--data-dir",
        radar,
        "--model",
        "dense",
        "--epochs",
        2,
        "--quiet",
        "--optimizer",
        "sgd",
        "--lr",
        0.01,
    ]
    assert "dense on iceberg, 2 epochs" in printed(
        capsys, iceberg, 0, *argv, "--out", tmp_path / "run"
    )
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert (result["train_images"], result["test_images"], result["split_seed"]) == (32, 8, 0)
    assert list(result["classification"]["by_class"]) == ["ship", "iceberg"]
    assert (result["parameters"], result["width"], result["augment_dims"]) == (769_793, None, None)
    config = restored(tmp_path / "run").config
    data = load(config.data, progress=False)
    assert data.train_images.shape == (32, 75, 75, 3)
    assert abs(int(data.train_labels.sum()) - 32 * 753 / 1604) < 1
    wrong = printed(capsys, iceberg, 2, "--resume", tmp_path / "run", "--split-seed", 1)
    assert "split_seed (run has 0, requested 1)" in wrong


def test_a_malformed_row_is_named(radar, tmp_path, capsys):
    rows = json.loads((radar / "train.json").read_text())
    rows[17]["band_2"].pop()
    (tmp_path / "train.json").write_text(json.dumps(rows))
    line = printed(capsys, iceberg, 2, "--data-dir", tmp_path, "--out", tmp_path / "run", "--quiet")
    assert line.endswith(
        "band_2 of row 17 of train.json must be a list of 5625 numbers, found a list of 5624"
    )
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("experiment", [iceberg, asl_alphabet])
def test_without_originals_one_line_says_where_they_come_from(experiment, tmp_path, capsys):
    line = printed(capsys, experiment, 2, "--data-dir", tmp_path, "--out", tmp_path / "run")
    assert "there are no originals of" in line
    assert "https://www.kaggle.com/" in line


def test_the_nets_of_radar_images_refuse_other_images(tmp_path, capsys):
    argv = ["--data", "sample", "--model", "cnn", "--out", tmp_path / "run"]
    assert printed(capsys, mnist, 2, *argv).endswith(
        "model must be odenet or resnet or mlp for 10 classes, got 'cnn'"
    )


def test_hand_signs_are_augmented_split_and_recorded(tmp_path, capsys):
    for label, name in enumerate(SPECS["asl_alphabet"].class_names):
        (tmp_path / "signs" / name).mkdir(parents=True)
        for number in range(5):
            pixels = np.full((70, 70, 3), 8 * label + number, np.uint8)
            Image.fromarray(pixels).save(tmp_path / "signs" / name / f"{number}.png")
    argv = [
        "--data-dir",
        tmp_path / "signs",
        "--classes",
        4,
        "--augment",
        "cutout,transpose",
        "--split-seed",
        3,
    ]
    argv += [
        "--model",
        "mlp",
        "--precision",
        "float32",
        "--epochs",
        1,
        "--batch-size",
        8,
        "--quiet",
    ]
    assert "mlp on asl_alphabet, 1 epochs" in printed(
        capsys, asl_alphabet, 0, *argv, "--out", tmp_path / "run"
    )
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert (result["train_images"], result["test_images"], result["split_seed"]) == (16, 4, 3)
    assert result["augment"] == ["transpose", "cutout"]
    assert list(result["classification"]["by_class"]) == ["A", "B", "C", "D"]
    assert np.sum(result["classification"]["confusion"], 1).tolist() == [1, 1, 1, 1]
    assert restored(tmp_path / "run").model.linear2.bias.shape == (4,)


def test_a_split_of_a_set_that_comes_split_is_no_setting(capsys):
    assert mnist.main(["--describe", "--split-seed", "3", "--model", "mlp"]) == 0
    assert capsys.readouterr().err == "note: --split-seed has no effect on mlp with sgd on mnist\n"
