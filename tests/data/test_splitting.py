"""Sets that come in one piece: found, listed, decoded, prepared once, and split by a seed."""

from __future__ import annotations

import dataclasses
import io
import shutil
import zipfile

import numpy as np
import pytest
from PIL import Image
from sklearn.model_selection import train_test_split

from jaxode.config import DataConfig
from jaxode.data import SPECS, DataError, folders, load, splitting
from jaxode.data.full import load_full
from jaxode.data.readers import Unavailable

SPEC = dataclasses.replace(SPECS["asl_alphabet"], class_names=("A", "del", "space"), image_size=16)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXODE_DATA", str(tmp_path / "cache"))


def picture(shade: int, size=(20, 20), kind: str = "JPEG") -> bytes:
    """A picture, grey on its left and `shade` of red on its right."""
    pixels = np.full((*size[::-1], 3), 128, np.uint8)
    pixels[:, size[0] // 2 :] = shade, 0, 0
    target = io.BytesIO()
    Image.fromarray(pixels).save(target, kind)
    return target.getvalue()


def write_folders(root, each: int = 4):
    """A folder a class, `each` pictures in it; classes differ in their shade."""
    for label, name in enumerate(SPEC.class_names):
        (root / name).mkdir(parents=True)
        for number in range(each):
            (root / name / f"{name}{number}.jpg").write_bytes(
                picture(40 * label + 100 + 5 * number)
            )
        (root / name / ".DS_Store").write_bytes(b"no picture")
    (root / "other").mkdir()
    (root / "other" / "x.jpg").write_bytes(picture(0))


def zipped(root, target, inside: str):
    """A zip of all files, below `inside`."""
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(root.rglob("*.*")):
            archive.write(path, f"{inside}/{path.relative_to(root).as_posix()}")


@pytest.mark.parametrize(
    "place", ["", "asl_alphabet", "asl_alphabet_train", "asl_alphabet_train/asl_alphabet_train"]
)
def test_folders_are_found_where_the_zip_unpacks_to(tmp_path, place):
    write_folders(tmp_path / place)
    images, labels = load_full(SPEC, tmp_path, progress=False)["whole"]
    assert images.shape == (12, 16, 16, 3)
    assert images.dtype == np.uint8
    assert labels.tolist() == 4 * [0] + 4 * [1] + 4 * [2]
    red = images[:, :, 12:, 0].mean((1, 2))
    np.testing.assert_allclose(
        red, [40 * label + 100 + 5 * number for label in range(3) for number in range(4)], atol=3
    )
    np.testing.assert_allclose(images[:, :, :4].mean((1, 2)), 128, atol=3)


@pytest.mark.parametrize("name", ["asl-alphabet.zip", "archive.zip"])
def test_a_zip_gives_what_the_folders_give_and_may_take_their_place(tmp_path, name):
    write_folders(tmp_path / "asl_alphabet")
    before = load_full(SPEC, tmp_path, progress=False)["whole"]
    zipped(tmp_path / "asl_alphabet", tmp_path / name, "asl_alphabet_train/asl_alphabet_train")
    shutil.rmtree(tmp_path / "asl_alphabet")
    found = SPEC.reader.find(SPEC, tmp_path, progress=False)
    for one, other in zip(before, found.read()["whole"], strict=True):
        np.testing.assert_array_equal(one, other)
    load_full(SPEC, tmp_path, progress=False)  # the prepared set is known to be of these pictures


def test_a_picture_is_decoded_whatever_its_form_and_size():
    wide = folders.decode(picture(200, (60, 20), "PNG"), 16)
    assert wide.shape == (16, 16, 3)
    np.testing.assert_allclose(
        wide[:, 9:, 0], 200, atol=1
    )  # the middle square, whose edge is in the middle
    np.testing.assert_allclose(wide[:, :7], 128, atol=1)
    grey = io.BytesIO()
    Image.new("L", (5, 5), 77).save(grey, "PNG")
    np.testing.assert_array_equal(folders.decode(grey.getvalue(), 8), np.full((8, 8, 3), 77))


def test_a_damaged_picture_is_named(tmp_path):
    write_folders(tmp_path)
    path = tmp_path / "del" / "del2.jpg"
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(DataError, match=r"del/del2\.jpg is no whole picture"):
        load_full(SPEC, tmp_path, progress=False)
    assert not list((tmp_path / "prepared").rglob("*.array_record*"))


def test_a_class_without_pictures_and_a_zip_that_is_none_are_named(tmp_path):
    write_folders(tmp_path)
    shutil.rmtree(tmp_path / "del")
    with pytest.raises(
        DataError, match="must hold pictures of every class of asl_alphabet, but has none of del"
    ):
        load_full(SPEC, tmp_path, progress=False)
    (tmp_path / "z").mkdir()
    (tmp_path / "z" / "archive.zip").write_bytes(b"PK no zip")
    with pytest.raises(DataError, match=r"archive\.zip is no whole zip"):
        load_full(SPEC, tmp_path / "z", progress=False)


@pytest.mark.parametrize("name", ["A9.jpg", "A0.jpg"])
def test_pictures_that_changed_since_they_were_prepared_are_noticed(tmp_path, name):
    write_folders(tmp_path)
    load_full(SPEC, tmp_path, progress=False)
    (tmp_path / "A" / name).write_bytes(picture(9, (30, 30)))
    with pytest.raises(DataError, match="are not those that"):
        load_full(SPEC, tmp_path, progress=False)
    for name in SPEC.class_names:
        shutil.rmtree(tmp_path / name)
    assert len(load_full(SPEC, tmp_path, progress=False)["whole"][1]) == 12  # without originals


@pytest.mark.parametrize("dataset", ["asl_alphabet", "iceberg"])
def test_without_originals_the_error_says_where_they_come_from(tmp_path, dataset):
    with pytest.raises(Unavailable, match="there are no originals"):
        load_full(SPECS[dataset], tmp_path, progress=False)
    with pytest.raises(DataError, match=r"get them from https://www\.kaggle\.com/.*--data-dir"):
        load(DataConfig(dataset=dataset, data_dir=str(tmp_path), crop="none"))


def test_a_split_has_the_share_of_every_class():
    labels = np.repeat([0, 1, 2], [751, 853, 1])
    mask = splitting.held_out(labels, 304 / 1605, seed=0)
    assert mask.sum() == 304
    counts = np.bincount(labels[mask], minlength=3)
    assert abs(counts - 304 / 1605 * np.array([751, 853, 1])).max() < 1
    assert counts[2] == 0  # the one image of its class is for training
    again, other = (
        splitting.held_out(labels, 304 / 1605, seed=0),
        splitting.held_out(labels, 304 / 1605, seed=1),
    )
    assert (mask == again).all()
    assert (mask != other).any()


@pytest.mark.parametrize(
    ("counts", "share"), [([50] * 29, 0.2), ([3, 7, 11, 90], 0.375), ([2, 2], 0.01)]
)
def test_class_counts_of_a_split_are_those_of_scikit_learn(counts, share):
    labels = np.repeat(np.arange(len(counts)), counts)
    mask = splitting.held_out(labels, share, seed=3)
    found = np.bincount(labels[mask], minlength=len(counts))
    if round(share * len(labels)) < len(counts):  # which scikit-learn refuses
        assert found.tolist() == [1, 1]
        return
    theirs = train_test_split(
        labels, test_size=round(share * len(labels)), stratify=labels, random_state=0
    )[1]
    # Classes of equal remainders are drawn.
    assert sorted(found - np.bincount(theirs)) in (
        [0] * len(counts),
        [-1, *[0] * (len(counts) - 2), 1],
    )
    assert found.sum() == len(theirs)


def test_loading_splits_and_keeps_the_requested_classes(tmp_path, monkeypatch):
    monkeypatch.setitem(SPECS, "asl_alphabet", SPEC)
    write_folders(tmp_path, each=5)
    asked = DataConfig(dataset="asl_alphabet", data_dir=str(tmp_path), crop="none")
    data = load(asked, progress=False)
    assert np.bincount(data.train_labels).tolist() == [4, 4, 4]
    assert np.bincount(data.test_labels).tolist() == [1, 1, 1]
    assert data.train_labels.tolist() != sorted(
        data.train_labels
    )  # so that the first N are of all classes
    assert not data.whole
    every = {bytes(image) for image in (*data.train_images, *data.test_images)}
    assert len(every) == 15  # none twice
    two = load(dataclasses.replace(asked, classes=2, test_share=0.4, split_seed=1), progress=False)
    assert two.spec.class_names == ("A", "del")
    assert np.bincount(two.train_labels).tolist() == [3, 3]
    assert np.bincount(two.test_labels).tolist() == [2, 2]
    assert load(asked, progress=False).fingerprint == data.fingerprint != two.fingerprint


def test_classes_are_those_of_any_set():
    data = load(DataConfig(dataset="mnist", data="sample", classes=3))
    assert set(data.train_labels) == set(data.test_labels) == {0, 1, 2}
    assert len(data.train_labels) == 600
    assert data.spec.class_names == ("0", "1", "2")
    with pytest.raises(
        ValueError, match="classes must be at most 10, the classes of mnist, got 11"
    ):
        load(DataConfig(dataset="mnist", data="sample", classes=11))
