"""The sheet of augmentations: which pictures it takes, what it shows, and what it says of a wrong
folder.
"""

from __future__ import annotations

import io
import os

import numpy as np
import pytest
from PIL import Image

from experiments import augmentations
from experiments.views import sheet
from experiments.views.pictures import chosen, pictures
from jaxode.checks import ConfigError


@pytest.fixture
def folder(tmp_path):
    """Two classes of two pictures and one of none, beside what is no picture."""
    values = np.random.default_rng(0).integers(0, 256, (4, 8, 12, 3), dtype=np.uint8)
    for name, value in zip(("A/1.png", "A/2.PNG", "B/1.png", "B/2.png"), values, strict=True):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(value).save(tmp_path / name)
    (tmp_path / "A" / "0.txt").write_text("no picture")
    (tmp_path / "empty").mkdir()
    return tmp_path


def test_pictures_are_of_as_many_classes_as_there_are(folder):
    def names(where, count):
        return [path.relative_to(folder).as_posix() for path in chosen(where, count)]

    assert names(folder, 2) == ["A/1.png", "B/1.png"]
    assert names(folder, 5) == ["A/1.png", "A/2.PNG", "A/1.png", "B/1.png", "B/2.png"]
    assert names(folder / "B", 1) == ["B/1.png"]
    stored = np.asarray(Image.open(folder / "A" / "1.png"))
    np.testing.assert_array_equal(
        pictures(str(folder), 1, 8), stored[None, :, 2:10]
    )  # the middle of what is not square
    assert pictures(None, 11, 16).shape == (11, 16, 16, 3)


def test_what_systems_add_is_no_picture_and_no_class(folder):
    for place in ("A/._1.png", "__MACOSX/A/1.png", "._B/1.png"):
        (folder / place).parent.mkdir(exist_ok=True, parents=True)
        (folder / place).write_bytes(b"\0\5\x16\7")
    (folder / "__MACOSX" / "0.png").write_bytes(b"\0\5\x16\7")
    (folder / "A" / "0.png").mkdir()
    assert [path.relative_to(folder).as_posix() for path in chosen(folder, 2)] == [
        "A/1.png",
        "B/1.png",
    ]


def test_pictures_are_upright_and_clear_parts_black(folder):
    exif = Image.Exif()
    exif[274] = 6  # to be turned clockwise
    values = np.full((8, 8, 4), 255, np.uint8)
    values[:4, :, 3] = 0
    Image.fromarray(values).save(folder / "B" / "1.png", exif=exif)
    expected = np.zeros((1, 8, 8, 3))
    expected[:, :, :4] = 255
    np.testing.assert_array_equal(pictures(str(folder / "B"), 1, 8), expected)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (os.mkfifo, r"/B/1\.jpg cannot be read: Not a regular file$"),
        (
            lambda path: path.symlink_to("nowhere"),
            r"/B/1\.jpg cannot be read: No such file or directory$",
        ),
        (
            lambda path: path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n"),
            r"/B/1\.jpg is none: it is none of JPEG, ",
        ),
        (
            lambda path: path.write_bytes(b"P6 70000 70000 255\n"),
            r"/B/1\.jpg is none: it has more than 67108864 pixels$",
        ),
    ],
    ids=["pipe", "link", "postscript", "bomb"],
)
def test_what_is_no_picture_is_named(folder, make, message):
    make(folder / "B" / "1.jpg")
    with pytest.raises(
        ConfigError, match="images must be pictures that can be read, and [^\n]*" + message
    ):
        pictures(str(folder), 2, 8)


def test_a_folder_that_may_not_be_read_is_one_line(folder, monkeypatch):
    def denied(path, *args):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("pathlib.Path.iterdir", denied)
    with pytest.raises(
        ConfigError,
        match=r"images must be a folder that can be read, and .* cannot be read: Permission",
    ):
        pictures(str(folder), 2, 8)


def test_a_row_has_its_picture_and_what_becomes_of_it(folder, monkeypatch, capsys):
    monkeypatch.setattr(sheet, "NAMES", ("transpose", "brightness_contrast"))
    out, (first, *others) = folder / "out", pictures(str(folder), 3, 8)
    named = folder.parent / os.fsdecode(b"no-utf-8-\xff")
    named.symlink_to(folder)
    assert (
        augmentations.main(
            ["--images", str(named), "--out", str(out), "--side", "8", "--seed", "3"]
        )
        == 0
    )
    shown = np.asarray(Image.open(io.BytesIO((out / "augmentations.png").read_bytes())))

    def tile(row, column):
        top, left = 24 + 12 * row, 176 + 12 * column + 4 * (column > 0)
        return shown[top : top + 8, left : left + 8]

    np.testing.assert_array_equal(tile(0, 0), first)
    np.testing.assert_array_equal(tile(0, 1), first.transpose(1, 0, 2))
    assert (tile(0, 2) == 255).all()
    for row, picture in enumerate(others, 1):
        np.testing.assert_array_equal(tile(row, 0), picture)
        assert len({tile(row, column).tobytes() for column in range(1, 9)}) > 3
    text = (out / "README.md").read_text()
    assert "(augmentations.png)" in text
    assert "--side 8 --seed 3`" in text
    assert "| `transpose` | 0.5 |" in text
    assert "| `brightness_contrast` | 0.5 |" in text
    assert len(list(out.iterdir())) == 2
    assert capsys.readouterr().out.endswith(f"2 augmentations; results in {out}\n")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--images", "missing"], "--images must be a folder, got 'missing'"),
        (
            ["--images", "{}/empty"],
            "--images must be a folder with .jpg, .jpeg, .png files, got '{}/empty'",
        ),
        (
            ["--images", "{}/torn"],
            "--images must be pictures that can be read, and {}/torn/1.jpg is none: ",
        ),
        (["--side", "4"], "--side must be a whole number from 8 to 256, got 4"),
        (["--sides"], "unknown flag --sides: did you mean --side?"),
    ],
)
def test_mistakes_are_one_line(flags, message, folder, capsys):
    (folder / "torn").mkdir()
    (folder / "torn" / "1.jpg").write_text("no picture")
    flags = [flag.format(folder) for flag in flags]
    assert augmentations.main([*flags, "--out", str(folder / "out"), "--quiet"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("python -m experiments.augmentations: error: " + message.format(folder))
    assert error.count("\n") == 1
    assert not list(folder.glob("out/*"))
