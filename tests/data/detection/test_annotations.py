"""Annotations of hostile content: one line that names the file and the object."""

import pytest
from voc import annotation

from jaxode.data import DataError
from jaxode.data.detection import read_annotation
from jaxode.data.detection.annotations import MOST_BYTES, sound_objects

BOX = (1, 2, 9, 8)


def written(tmp_path, text):
    path = tmp_path / "cell.xml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_objects_sizes_and_difficulty(tmp_path):
    text = annotation([("a cell", BOX, 1), ("b", (0.5, 1, 2, 3))], (640, 480))
    found = read_annotation(written(tmp_path, text))
    assert found.size == (640, 480)
    assert [(one.number, one.name, one.difficult) for one in found.objects] == [
        (1, "a cell", True),
        (2, "b", False),
    ]
    assert found.objects[1].box == (0.5, 1.0, 2.0, 3.0)


@pytest.mark.parametrize("size", ["", "<size><width>0</width><height>0</height></size>"])
def test_a_size_may_be_missing_or_zero(tmp_path, size):
    assert read_annotation(written(tmp_path, f"<annotation>{size}</annotation>")).size is None


def with_box(inner):
    return f"<annotation><object><name>RBC</name>{inner}</object></annotation>"


BOMB = """<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><annotation>&b;</annotation>"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no XML"),
        ("<annotation>", "no XML"),
        ("<annotation>\0</annotation>", "no XML"),
        (b"\xff\xfe\x00", "no UTF-8"),
        (BOMB, "declares a document type or entities"),
        (BOMB.encode("utf-16"), "no UTF-8"),
        ("<html/>", "its root must be annotation, got 'html'"),
        ("<annotation><object/></annotation>", "object 1: its name must be a text"),
        (with_box(""), "object 1 (RBC): has no bndbox"),
        (with_box("<bndbox><xmin>1</xmin></bndbox>"), "object 1 (RBC): ymin is missing"),
        (
            annotation([("RBC", BOX), ("WBC", (1, "x", 2, 3))]),
            "object 2 (WBC): ymin must be a finite number, got 'x'",
        ),
        (annotation([("RBC", (1, "nan", 2, 3))]), "ymin must be a finite number"),
        (annotation([("RBC", (1, "1_0", 2, 3))]), "ymin must be a finite number"),
        (annotation([("RBC", (1, "1e300", 2, 3))]), "ymin must be a finite number"),
        (with_box("<difficult>maybe</difficult><bndbox/>"), "xmin is missing"),
        (annotation([("RBC", BOX)] * 1025), "has 1025 objects, more than 1024"),
        ("<annotation><size><width>w</width></size></annotation>", "width must be a finite number"),
        (b" " * (MOST_BYTES + 1), "cannot be read"),
        ("<annotation>" + "<a>" * 200_000, "no XML"),
    ],
    ids=range(19),
)
def test_a_wrong_file_is_one_line_that_names_it(tmp_path, text, message):
    path = written(tmp_path, text)
    with pytest.raises(DataError) as caught:
        read_annotation(path)
    assert str(caught.value).startswith(f"{path}")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_difficult_is_0_or_1(tmp_path):
    corners = "".join(f"<{key}>{value}</{key}>" for key, value in zip(
        ("xmin", "ymin", "xmax", "ymax"), BOX, strict=True
    ))  # fmt: skip
    text = with_box(f"<difficult>2</difficult><bndbox>{corners}</bndbox>")
    with pytest.raises(DataError, match=r"object 1 \(RBC\): difficult must be 0 or 1, got '2'"):
        read_annotation(written(tmp_path, text))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"none\.xml: cannot be read: No such file"):
        read_annotation(tmp_path / "none.xml")


def test_what_cannot_be_learned_is_left_out_and_named(tmp_path):
    text = annotation(
        [
            ("a", BOX),
            ("a", (5, 5, 5, 9)),
            ("a", (5, 9, 9, 5)),
            ("a", (30, 1, 40, 9)),
            ("odd", BOX),
            ("a", (-3, 2, 40, 8)),
        ]
    )
    found = read_annotation(written(tmp_path, text))
    objects, remarks = sound_objects(found, (20, 10), ("a",), "f.xml")
    assert [one.number for one in objects] == [1, 6]
    assert objects[1].box == (0, 2, 20, 8)
    assert remarks == [
        "f.xml, object 2 (a): left out, its box 5, 5, 5, 9 has no area",
        "f.xml, object 3 (a): left out, its box 5, 9, 9, 5 has no area",
        "f.xml, object 4 (a): left out, its box 30, 1, 40, 9 is outside the image",
        "f.xml, object 5 (odd): left out, no object of that class is in the training images",
        "f.xml, object 6 (a): its box -3, 2, 40, 8 is cut to the image, 20 x 10 pixels",
    ]
