"""A folder of one's own pictures: classes, splits, zips, what is left out, and a run on it."""

from __future__ import annotations

import logging
import shutil
import zipfile

import numpy as np
import pytest
from PIL import Image

import jaxode
from jaxode.cli import train_dataset
from jaxode.config import DataConfig
from jaxode.data import DataError, load, spec_of
from jaxode.data.picture_folder import scan

pytestmark = pytest.mark.usefixtures("no_pictures")

COLOURS = {"blue": (20, 30, 200), "green": (20, 200, 30), "red": (200, 30, 20)}


def fill(folder, count=5, classes=("red", "green", "blue"), size=(20, 14)):
    """Pictures of one colour each, a subfolder a class."""
    rng = np.random.default_rng(0)
    for name in classes:
        (folder / name).mkdir(parents=True)
        for number in range(count):
            noise = rng.integers(-15, 16, (size[1], size[0], 3))
            pixels = np.clip(np.asarray(COLOURS[name]) + noise, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


def labels_of(listing):
    return [picture.label for picture in listing.pictures]


def test_subfolders_are_classes(tmp_path):
    found = scan(fill(tmp_path))
    assert found.class_names == ("blue", "green", "red")
    assert list(found.splits) == ["whole"]
    assert labels_of(found.splits["whole"]) == [0] * 5 + [1] * 5 + [2] * 5


@pytest.mark.parametrize("test", ["test", "val", "validation"])
def test_folders_of_splits_are_splits(tmp_path, test):
    fill(tmp_path / "train", 4)
    fill(tmp_path / test, 2, ("red", "blue"))
    found = scan(tmp_path)
    assert found.class_names == ("blue", "green", "red")
    assert labels_of(found.splits["test"]) == [0, 0, 2, 2]
    assert len(found.splits["train"].pictures) == 12


def test_classes_may_be_called_like_splits(tmp_path):
    fill(tmp_path, 2, ("red",))
    shutil.copytree(tmp_path / "red", tmp_path / "train")
    assert scan(tmp_path).class_names == ("red", "train")


@pytest.mark.parametrize("inside", ["", "archive/pictures/"])
def test_a_zip_is_read_as_what_it_unpacks_to(tmp_path, inside):
    source = fill(tmp_path / "source", 3)
    target = tmp_path / "zipped"
    target.mkdir()
    with zipfile.ZipFile(target / "pictures.zip", "w") as archive:
        for path in source.rglob("*.png"):
            archive.write(path, f"{inside}{path.relative_to(source)}")
        archive.writestr("__MACOSX/._x.png", b"")
    settings = {"dataset": "folder", "image_size": 12}
    zipped = load(DataConfig(data_dir=str(target), **settings), progress=False)
    plain = load(DataConfig(data_dir=str(source), **settings), progress=False)
    assert zipped.fingerprint == plain.fingerprint
    assert zipped.spec.class_names == plain.spec.class_names


def test_what_is_no_picture_is_named_or_passed_over(tmp_path, caplog):
    fill(tmp_path)
    for name in (".DS_Store", "red/Thumbs.db", "red/._0.png"):
        (tmp_path / name).write_bytes(b"x")
    with caplog.at_level(logging.WARNING):
        scan(tmp_path)
    assert not caplog.records
    (tmp_path / "red" / "notes.txt").write_text("red", encoding="utf-8")
    shutil.copy(tmp_path / "red" / "0.png", tmp_path / "cover.png")
    with caplog.at_level(logging.WARNING):
        found = scan(tmp_path)
    (record,) = caplog.records
    assert "cover.png" in record.getMessage()
    assert "red/notes.txt" in record.getMessage()
    assert len(found.splits["whole"].pictures) == 15


def test_pictures_are_split_by_class_and_measured(tmp_path):
    fill(tmp_path, 10)
    data = load(DataConfig("folder", data_dir=str(tmp_path), image_size=16), progress=False)
    assert data.train_images.shape == (24, 16, 16, 3)
    assert np.bincount(data.test_labels).tolist() == [2, 2, 2]
    assert data.whole
    pixels = data.train_images.astype(float) / 255
    np.testing.assert_allclose(data.spec.mean, pixels.mean((0, 1, 2)))
    np.testing.assert_allclose(data.spec.std, pixels.std((0, 1, 2)))
    assert spec_of(DataConfig("folder", data_dir=str(tmp_path))).image_size == 64
    again = jaxode.load_dataset("folder", str(tmp_path), image_size=16, progress=False)
    assert again.fingerprint == data.fingerprint


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda root: None, "must hold a subfolder of pictures .*, and holds none"),
        (lambda root: fill(root, 2, ("red",)), "and holds those of red alone"),
        (
            lambda root: (fill(root / "train", 2, ("red", "green")), fill(root / "test", 2)),
            "has test pictures of blue, of which there are none for training",
        ),
        (lambda root: (root / "a.zip").write_bytes(b"PK"), r"a\.zip is no whole zip"),
    ],
)
def test_a_folder_that_is_none_of_these_is_one_clear_line(tmp_path, make, message):
    make(tmp_path)
    with pytest.raises(DataError, match=message):
        scan(tmp_path)


def test_a_damaged_picture_is_named(tmp_path):
    fill(tmp_path)
    (tmp_path / "red" / "3.png").write_bytes(b"\x89PNG")
    with pytest.raises(DataError, match=r"red/3\.png is no whole picture"):
        load(DataConfig("folder", data_dir=str(tmp_path)), progress=False)


def test_a_run_knows_its_classes_without_the_folder(tmp_path, capsys):
    pictures, out = fill(tmp_path / "pictures", 10), tmp_path / "run"
    argv = ["folder", "--data-dir", str(pictures), "--image-size", "16", "--model", "mlp"]
    argv += ["--epochs", "8", "--batch-size", "8", "--quiet", "--out", str(out)]
    assert train_dataset.main(argv) == 0
    assert "mlp on folder" in capsys.readouterr().out
    shutil.move(pictures, tmp_path / "elsewhere")
    model = jaxode.load(out)
    assert model.class_names == ("blue", "green", "red")
    found = model.predict([tmp_path / "elsewhere" / name for name in ("red", "blue")])
    assert found.classes == ["red"] * 10 + ["blue"] * 10
    saved = jaxode.export.save(model, tmp_path / "colours.safetensors")
    assert jaxode.load(saved).predict(tmp_path / "elsewhere" / "green").classes == ["green"] * 10
    with pytest.raises(DataError, match="cannot be read"):
        jaxode.evaluate(model)
    assert jaxode.evaluate(model, data_dir=str(tmp_path / "elsewhere")).accuracy == 1


def test_the_folder_has_to_be_named(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert train_dataset.main(["folder", "--epochs", "1"]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "data_dir must name the folder of the pictures" in err
