"""Pascal VOC's layout: splits, canvases, and what is wrong with a folder."""

import shutil

import numpy as np
import pytest
from voc import annotation, drawn, small_set, write

from jaxode.data import DataError
from jaxode.data.detection import read_voc


@pytest.fixture
def folder(tmp_path):
    return small_set(tmp_path / "set", train=3, val=2, test=2)


def test_training_images_are_those_of_train_and_val(folder):
    found = read_voc(folder, 48, 64)
    assert found.class_names == ("bar", "square")
    assert (len(found.train), len(found.test), found.validation) == (5, 2, None)
    assert found.train.image.shape == (5, 48, 64, 3)
    assert found.train.classes.shape[1] == found.test.classes.shape[1]
    assert found.remarks == ()
    x0, y0, x1, y1 = found.train.boxes[0, 0].astype(int)
    shown = found.train.image[0, y0:y1, x0:x1]
    colour = (200, 60, 60) if found.train.classes[0, 0] == 0 else (60, 60, 200)
    assert np.mean(np.all(shown == colour, -1)) > 0.5


def test_validation_images_may_be_held_out(folder):
    found = read_voc(folder, 48, 64, hold_validation=True)
    assert found.validation is not None
    assert (len(found.train), len(found.validation), len(found.test)) == (3, 2, 2)


def test_without_a_test_list_val_is_scored_on(folder):
    (folder / "ImageSets" / "Main" / "test.txt").unlink()
    found = read_voc(folder.parent, 48, 64)  # the folder is found below
    assert found.test.names == ("val0", "val1")
    assert len(found.train) == 3


def test_pictures_of_any_size_fit_the_canvas_with_their_boxes(tmp_path):
    rng = np.random.default_rng(0)
    sizes = {"wide": (160, 40), "high": (40, 120)}
    images = {}
    for name, size in sizes.items():
        images[name] = (drawn(rng, *size)[0], annotation([("bar", (8, 4, 40, 40))]))
    write(tmp_path, images, {"train": ["wide"], "val": ["high"]})
    found = read_voc(tmp_path, 48, 64)
    assert found.train.extent.tolist() == [[16, 64]]
    assert found.test.extent.tolist() == [[48, 16]]
    np.testing.assert_allclose(found.train.boxes[0, 0], np.array([8, 4, 40, 40]) * 0.4)
    assert not found.train.image[0, 16:].any()
    mean, std = found.train.pixel_statistics()
    shown = found.train.image[0, :16].reshape(-1, 3) / 255
    np.testing.assert_allclose(mean, shown.mean(0))
    np.testing.assert_allclose(std, shown.std(0))


def without(part):
    return lambda folder: shutil.rmtree(folder / part)


def without_file(name):
    return lambda folder: (folder / name).unlink()


def changed(name, text):
    return lambda folder: (folder / name).write_text(text)


MAIN = "ImageSets/Main"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("Annotations"), "must hold Annotations, ImageSets/Main, JPEGImages"),
        (without_file("Annotations/val0.xml"), "val0.xml: cannot be read: No such file"),
        (without_file("JPEGImages/test1.png"), "test1: no picture of that name"),
        (without_file(f"{MAIN}/train.txt"), "must hold train.txt"),
        (changed("JPEGImages/test1.png", "text"), "test1.png: it is none of JPEG"),
        (changed("Annotations/train1.xml", "<"), "train1.xml: no XML"),
        (changed(f"{MAIN}/test.txt", ""), "no image of the test split"),
        (changed(f"{MAIN}/test.txt", "../train0"), "test.txt, line 1: no name of an image"),
        (changed(f"{MAIN}/test.txt", "test0\ntrain0 -1\n"), "train0 is listed twice"),
    ],
)
def test_a_wrong_folder_is_one_line(folder, change, message):
    change(folder)
    with pytest.raises(DataError) as caught:
        read_voc(folder, 48, 64)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_there_must_be_something_to_learn(tmp_path):
    picture = np.zeros((10, 10, 3), np.uint8)
    images = {"one": (picture, annotation([("a", (3, 3, 3, 3))])), "two": (picture, annotation([]))}
    write(tmp_path, images, {"train": ["one"], "val": ["two"]})
    with pytest.raises(DataError, match="no training image has an object that can be learned"):
        read_voc(tmp_path, 16, 16)


def test_several_data_sets_below_a_folder_are_named(folder):
    shutil.copytree(folder, folder.parent / "other")
    with pytest.raises(DataError, match="holds several data sets"):
        read_voc(folder.parent, 48, 64)


def test_the_sizes_of_picture_and_annotation_may_differ(folder):
    changed("Annotations/train0.xml", annotation([("bar", (0, 0, 9, 9))], (640, 480)))(folder)
    (remark,) = read_voc(folder, 48, 64).remarks
    assert "train0.xml: says that the image has 640 x 480 pixels; it has 64 x 48" in remark


def test_the_blood_cells(real_data):
    found = read_voc(real_data / "bccd", 240, 320)
    assert found.class_names == ("Platelets", "RBC", "WBC")
    assert (len(found.train), len(found.test)) == (292, 72)
    assert found.train.objects + found.test.objects == 4888 - 2
    assert len(found.remarks) == 2
    assert all("has no area" in remark for remark in found.remarks)
