"""Folders of pictures and depth maps: what is read, and what is named and left out."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from jaxode.checks import ConfigError
from jaxode.data import DataError
from jaxode.data.depth import NYU_QUARTER, DepthUnit, read_depth_folder
from jaxode.data.depth.listing import list_pairs

MILLIMETRES = DepthUnit(1000)


def write_pair(folder, name, size=(8, 6), value=1500):
    """A picture and a map of 16 bits, the same value everywhere."""
    for part in ("rgb", "depth"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (200, 10, 30)).save(folder / "rgb" / f"{name}.png")
    Image.fromarray(np.full(size[::-1], value, np.uint16)).save(folder / "depth" / f"{name}.png")


@pytest.fixture
def folder(tmp_path):
    for number in range(6):
        write_pair(tmp_path, f"{number:04d}", value=1000 + number)
    return tmp_path


def test_pairs_are_of_the_split_that_the_file_names(folder):
    names = {"train": [4, "0001", 0], "test": [5]}
    (folder / "splits.json").write_text(json.dumps(names))
    splits = read_depth_folder(folder, MILLIMETRES)
    assert splits.train.names == ("0004", "0001", "0000")
    assert splits.train.depth[:, 0, 0] == pytest.approx([1.004, 1.001, 1.0])
    assert splits.test.images[0, 0, 0].tolist() == [200, 10, 30]
    assert splits.malformed == ()


def test_folders_of_splits_and_drawn_ones(folder, tmp_path):
    for split, count in (("train", 3), ("val", 2)):
        for number in range(count):
            write_pair(tmp_path / "split" / split, f"{number}")
    splits = read_depth_folder(tmp_path / "split", MILLIMETRES)
    assert (len(splits.train.names), len(splits.test.names)) == (3, 2)
    drawn = [list_pairs(folder, 1 / 3, seed) for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    names = [pair.name for pair in (*drawn[0].train, *drawn[0].test)]
    assert len(drawn[0].test) == 2
    assert sorted(names) == [f"{number:04d}" for number in range(6)]


def test_a_canvas_of_another_shape_has_the_middle_and_depth_is_not_mixed(tmp_path):
    rng = np.random.default_rng(0)
    values = rng.integers(0, 60000, (30, 80)).astype(np.uint16)
    for split in ("train", "test"):
        write_pair(tmp_path / split, "a", size=(80, 30))
        Image.fromarray(values).save(tmp_path / split / "depth" / "a.png")
        picture = np.zeros((30, 80, 3), np.uint8)
        picture[:, :10] = picture[:, 70:] = 255  # what is left out
        Image.fromarray(picture).save(tmp_path / split / "rgb" / "a.png")
    found = read_depth_folder(tmp_path, MILLIMETRES, (10, 20)).train
    np.testing.assert_allclose(found.depth[0], values[1::3, 11:71:3] / 1000, rtol=1e-6)
    assert not found.images[0, :, 1:-1].any()


def test_arrays_are_metres_and_unknown_where_they_are_nan(tmp_path):
    for split in ("train", "test"):
        write_pair(tmp_path / split, "a")
        (tmp_path / split / "depth" / "a.png").unlink()
        metres = np.full((6, 8), 2.5)
        metres[0, 0] = np.nan
        np.save(tmp_path / split / "depth" / "a.npy", metres)
    depth = read_depth_folder(tmp_path, MILLIMETRES).train.depth[0]
    assert depth[0, 0] == 0
    assert depth[1:].max() == depth[1:].min() == 2.5


def grey(folder, values):
    Image.fromarray(values).save(folder / "depth" / "0002.png")


def save(folder, values):
    (folder / "depth" / "0002.png").unlink()
    np.save(folder / "depth" / "0002.npy", values)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "depth" / "0002.png").unlink(), "0002.png: there is no file of its name"),
        (lambda f: (f / "rgb" / "0002.png").unlink(), "no file of its name that is a picture"),
        (lambda f: (f / "rgb" / "0002.png").write_bytes(b"GIF"), "it is none of JPEG"),
        (lambda f: (f / "depth" / "0002.png").write_bytes(b"\x89PNG"), "it is none of PNG"),
        (lambda f: Image.new("RGB", (8, 6)).save(f / "rgb" / "0002.jpg"), "several of its name"),
        (lambda f: Image.new("RGB", (8, 6)).save(f / "depth" / "0002.png"), "grey of 8 or 16 bits"),
        (lambda f: grey(f, np.zeros((6, 8), np.uint16)), "unknown in every pixel"),
        (lambda f: grey(f, np.ones((9, 8), np.uint16)), "they must have one shape"),
        (lambda f: save(f, np.full((6, 8), -1.0)), "must be 0 to 10000 metres, found -1 to -1"),
        (lambda f: save(f, np.full((6, 8), np.inf)), "found inf to inf"),
        (lambda f: save(f, np.full((6, 8), -3)), "at least 0, found -3"),
        (lambda f: save(f, np.ones((2, 6, 8))), "found shape [2, 6, 8]"),
        (lambda f: save(f, np.array("word")), "it is no array"),
    ],
)
def test_a_pair_that_is_none_has_a_line_and_is_left_out(damage, message, folder):
    (folder / "splits.json").write_text('{"train": [0, 1, 2, 3], "test": [4, 5]}')
    damage(folder)
    splits = read_depth_folder(folder, MILLIMETRES)
    assert splits.train.names == ("0000", "0001", "0003")
    lines = [line for line in splits.malformed if "which is no pair" not in line]
    assert len(lines) == 1
    assert "0002" in lines[0]
    assert message in lines[0]
    assert "\n" not in lines[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1]", "splits.json"),
        ('{"train": [1]}', '"test", a list of names'),
        ('{"train": [true], "test": [2]}', '"train", a list of names'),
        ('{"train": [77], "test": [2]}', "names '77', which is no pair"),
        ('{"train": [1], "test": ["0001"]}', "'0001' is named more than once"),
    ],
)
def test_a_wrong_file_of_splits_is_one_line(text, message, folder):
    (folder / "splits.json").write_text(text)
    with pytest.raises(DataError) as caught:
        read_depth_folder(folder, MILLIMETRES)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_of_another_layout_is_refused(tmp_path):
    with pytest.raises(DataError, match="must hold a folder rgb or images or image"):
        read_depth_folder(tmp_path, MILLIMETRES)
    for wrong in ({"per_metre": 0}, {"per_metre": np.nan}, {"per_metre": 1, "offset": 2}):
        with pytest.raises(ConfigError, match="must be"):
            DepthUnit(**wrong)


@pytest.mark.slow
def test_the_quarter_of_nyu_depth(real_data):
    """The mean and the geometric mean picture score what was measured of them."""
    from jaxode.data.depth import eigen_crop

    splits = read_depth_folder(real_data / "nyuv2_quarter", NYU_QUARTER)
    assert (len(splits.train.names), len(splits.test.names)) == (795, 654)
    assert splits.malformed == ()
    truth = splits.test.depth.astype(np.float64)
    assert (truth.min(), truth.max()) == pytest.approx((0.7255, 9.9804), abs=1e-4)
    rows, columns = eigen_crop(120, 160)
    truth = truth[:, rows, columns]
    train = splits.train.depth.astype(np.float64)
    for mean, expected in (
        (train.mean(0), (0.401, 1.203, 0.429)),
        (np.exp(np.log(train).mean(0)), (0.357, 1.209, 0.431)),
    ):
        found = np.broadcast_to(mean[rows, columns], truth.shape)
        ratio = np.maximum(found / truth, truth / found)
        rms = np.sqrt(((found - truth) ** 2).mean())
        scores = (abs(found - truth) / truth).mean(), rms, (ratio < 1.25).mean()
        assert scores == pytest.approx(expected, abs=6e-4)
