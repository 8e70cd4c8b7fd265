"""Pictures in folders and zips: what is read, what is passed over, and one line for what cannot be
read.
"""

from __future__ import annotations

import dataclasses
import io
import os
import socket
import struct
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from jaxode.data import SPECS, DataError, archives, folders, regular

SPEC = dataclasses.replace(SPECS["asl_alphabet"], class_names=("A", "B"), image_size=4)


def picture(shade=0, kind="PNG"):
    target = io.BytesIO()
    Image.new("RGB", (5, 5), (shade, 1, 2)).save(target, kind)
    return target.getvalue()


@pytest.fixture
def root(tmp_path):
    for name in SPEC.class_names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.png").write_bytes(picture())
    return tmp_path


def zipped(path, members, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def edited(path, old, new):
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new))


GOOD = [("A/1.png", picture()), ("B/1.png", picture())]


def whole(root):
    return folders.read(SPEC, folders.listing(SPEC, root), progress=False)


def refused(root, message):
    with pytest.raises(DataError, match=message) as caught:
        whole(root)
    assert str(caught.value).isprintable()


def test_what_systems_add_is_passed_over_in_folders_and_in_zips(root, tmp_path):
    before = folders.listing(SPEC, root).manifest
    for name in ("._1.png", ".DS_Store", "Thumbs.db", "desktop.ini", "._x.jpg", "note.txt"):
        (root / "A" / name).write_bytes(b"\0\5\x16\7")
    (root / "__MACOSX" / "A").mkdir(parents=True)
    (root / "__MACOSX" / "A" / "2.png").write_bytes(b"\0\5\x16\7")
    (root / "A" / "folder.png").mkdir()
    assert folders.listing(SPEC, root).manifest == before
    members = [
        (path.relative_to(root).as_posix(), path.read_bytes())
        for path in root.rglob("*.*")
        if path.is_file()
    ]
    assert len(members) == 9
    path = zipped(tmp_path / "set.zip", [*members, ("A/folder.png/", b"")])
    assert folders.listing(SPEC, path).manifest == before
    for one, other in zip(whole(root), whole(path), strict=True):
        np.testing.assert_array_equal(one, other)


def test_links_to_pictures_and_folders_are_followed(root, tmp_path):
    (root / "A" / "2.png").symlink_to(root / "B" / "1.png")
    (root / "elsewhere").mkdir()
    (root / "elsewhere" / "A").symlink_to(root / "A")
    (root / "elsewhere" / "B").symlink_to(root / "B")
    assert [each.place for each in folders.listing(SPEC, root / "elsewhere").pictures] == [
        "A/1.png",
        "A/2.png",
        "B/1.png",
    ]
    assert whole(root / "elsewhere")[1].tolist() == [0, 0, 1]


def sparse(path):
    path.touch()
    os.truncate(path, 2**33)


def a_socket(path):
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(str(path))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda path: path.symlink_to("nowhere"),
            r"A/x\.png cannot be read: No such file or directory$",
        ),
        (
            lambda path: path.symlink_to("x.png"),
            r"A/x\.png cannot be read: Too many levels of symbolic links$",
        ),
        (os.mkfifo, r"A/x\.png cannot be read: Not a regular file$"),
        (a_socket, r"A/x\.png cannot be read: Not a regular file$"),
        (
            lambda path: path.symlink_to("/dev/zero"),
            r"A/x\.png cannot be read: Not a regular file$",
        ),
        (sparse, r"A/x\.png has 8589934592 bytes, more than 268435456$"),
        (lambda path: path.write_bytes(b""), r"A/x\.png is no whole picture: it is none of JPEG, "),
        (lambda path: path.write_bytes(picture()[:-30]), r"A/x\.png is no whole picture: "),
        (
            lambda path: path.write_bytes(b"%!PS-Adobe-3.0 EPSF\n"),
            r"A/x\.png is no whole picture: it is none of ",
        ),
    ],
    ids=[
        "dangling",
        "loop",
        "pipe",
        "socket",
        "device",
        "sparse",
        "empty",
        "truncated",
        "postscript",
    ],
)
def test_what_cannot_be_read_in_a_folder_is_named(root, monkeypatch, make, message):
    monkeypatch.chdir(root)  # a socket's path must be short
    make((root / "A" / "x.png").relative_to(root))
    refused(root, message)


def test_a_file_that_may_not_be_read_is_named(root, monkeypatch):
    def denied(path, *args):
        raise PermissionError(13, "Permission denied", str(path))

    found = folders.listing(SPEC, root)
    monkeypatch.setattr(regular.os, "open", denied)
    with pytest.raises(DataError, match=r": A/1\.png cannot be read: Permission denied$"):
        folders.read(SPEC, found, progress=False)
    monkeypatch.setattr(folders.os, "scandir", denied)
    refused(root, r"A cannot be read: Permission denied$")
    monkeypatch.setattr("pathlib.Path.is_dir", denied)
    with pytest.raises(DataError, match=r"cannot be read: Permission denied$"):
        folders.find(SPEC, root)


def test_a_file_that_grew_since_it_was_listed_is_not_read_whole(root, monkeypatch):
    found = folders.listing(SPEC, root)
    monkeypatch.setattr(folders, "MOST_BYTES", 20)
    with pytest.raises(
        DataError, match=r"A/1\.png cannot be read: it has \d+ bytes, more than 20$"
    ):
        folders.read(SPEC, found, progress=False)


def test_the_number_of_files_is_bounded(root, monkeypatch):
    monkeypatch.setattr(folders, "MOST_FILES", 1)
    assert len(whole(root)[1]) == 2
    (root / "B" / "2.png").write_bytes(picture())
    refused(root, r"B must hold at most 1 files$")


def test_names_that_are_no_utf_8_are_read_counted_and_shown(root):
    before = folders.listing(SPEC, root).manifest
    path = os.fsencode(root) + b"/A/\xff\n.png"
    with open(path, "wb") as file:
        file.write(picture(9))
    found = folders.listing(SPEC, root)
    assert found.manifest != before
    assert len(whole(root)[1]) == 3
    with open(path, "wb") as file:
        file.write(b"no picture")
    refused(root, r"'A/\\udcff\\n\.png' is no whole picture: it is none of")


def test_small_sets_are_read_and_empty_classes_are_named(root):
    one = dataclasses.replace(SPEC, class_names=("A",))
    assert folders.read(one, folders.listing(one, root), progress=False)[1].tolist() == [0]
    (root / "B" / "1.png").write_bytes(b"broken")
    refused(root, r"B/1\.png is no whole picture")
    (root / "B" / "1.png").unlink()
    refused(root, "must hold pictures of every class of asl_alphabet, but has none of B$")
    (root / "B").rmdir()
    (root / "B").write_bytes(b"no folder")
    refused(root, "but has none of B$")


@pytest.mark.parametrize(
    ("members", "message"),
    [
        (
            [*GOOD, ("x/../A/2.png", b"")],
            r"x/\.\./A/2\.png cannot be read: its name leads out of the zip$",
        ),
        ([*GOOD, ("/A/2.png", b"")], r"/A/2\.png cannot be read: its name leads out of the zip$"),
        ([*GOOD, ("./A/1.png", b"")], r"\./A/1\.png is in it twice$"),
        ([*GOOD, ("A/2.png", b"no picture")], r"A/2\.png is no whole picture: it is none of"),
        ([*GOOD, ("A/\n\x1b[2J.png", b"")], r"'A/\\n\\x1b\[2J\.png' is no whole picture"),
        (GOOD[:1], "must hold pictures of every class of asl_alphabet, but has none of B$"),
        ([], "has none of A, B$"),
    ],
)  # fmt: skip
def test_a_member_that_cannot_be_a_picture_is_named(tmp_path, members, message):
    refused(zipped(tmp_path / "set.zip", members), message)


def test_the_same_name_twice_is_refused(tmp_path):
    path = zipped(tmp_path / "set.zip", [*GOOD, ("A/2.png", picture())])
    edited(path, b"A/2.png", b"A/1.png")
    refused(path, r"A/1\.png is in it twice$")


# Offsets in a member's own header and in the list of members: of its flags, its method and its
# sizes.
LOCAL, LISTED = b"PK\3\4", b"PK\1\2"


def with_field(path, name, local, listed, form, value):
    """A zip in which one field of a member's two headers has another value."""
    content = bytearray(path.read_bytes())
    for mark, head, place in ((LOCAL, 30, local), (LISTED, 46, listed)):
        start = content.index(name.encode(), 0 if mark == LOCAL else content.index(LISTED)) - head
        assert content[start : start + 4] == mark
        struct.pack_into(form, content, start + place, value)
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ((6, 8, "<H", 1), "it is encrypted"),
        ((6, 8, "<H", 0x20), "compressed patched data"),
        ((8, 10, "<H", 99), "it must be stored or deflated, and is packed by method 99"),
        (
            (8, 10, "<H", zipfile.ZIP_BZIP2),
            "it must be stored or deflated, and is packed by method 12",
        ),
        ((8, 10, "<H", zipfile.ZIP_DEFLATED), "Error -3 while decompressing data"),
        ((22, 24, "<I", 2**31), "it has 2147483648 bytes, more than 268435456"),
        ((22, 24, "<I", 5), "Bad CRC-32 for file 'B/1.png'"),
        ((14, 16, "<I", 5), "Bad CRC-32 for file 'B/1.png'"),
    ],
    ids=["encrypted", "patched", "unknown", "bzip2", "not-deflated", "large", "short", "checksum"],
)
def test_a_member_that_cannot_be_unpacked_is_named(tmp_path, field, message):
    path = zipped(tmp_path / "set.zip", GOOD)
    with_field(path, "B/1.png", *field)
    refused(path, rf"B/1\.png cannot be read: {message}")


def test_a_member_is_unpacked_to_its_bound_and_no_further(tmp_path, monkeypatch):
    """Zeros whose size is stated as 5 bytes, and as it is."""
    path = zipped(tmp_path / "set.zip", [*GOOD, ("A/2.png", bytes(10**7))], zipfile.ZIP_DEFLATED)
    monkeypatch.setattr(folders, "MOST_BYTES", 10**6)
    refused(path, r"A/2\.png cannot be read: it has 10000000 bytes, more than 1000000$")
    with_field(path, "A/2.png", 22, 24, "<I", 5)
    refused(path, r"A/2\.png cannot be read: Bad CRC-32 for file 'A/2\.png'$")


def test_names_of_members_that_are_no_utf_8_are_named(tmp_path):
    path = zipped(tmp_path / "set.zip", [*GOOD, ("A/ä.png", picture())])
    edited(path, "ä".encode(), b"\xff\xff")
    refused(path, r"set\.zip has a member whose name is no UTF-8: 'A/\\xff\\xff\.png'$")


def test_members_that_overlap_are_refused(tmp_path):
    path = zipped(tmp_path / "set.zip", GOOD)
    content = bytearray(path.read_bytes())
    first = content.index(LISTED)
    place = content.index(LISTED, first + 1) + 42  # where the second member begins
    struct.pack_into("<I", content, place, 0)
    path.write_bytes(content)
    refused(path, r"(A|B)/1\.png cannot be read: ")


def test_the_list_of_members_is_bounded(tmp_path, monkeypatch):
    path = tmp_path / "set.zip"
    with path.open("wb") as file:
        file.seek(2**26)  # of nothing, which the record at its end calls the list
        file.write(b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, 9, 9, 2**26, 0, 0))
    refused(
        path,
        r"set\.zip is no whole zip: the list of its members takes 67108864 bytes, more than"
        r" 33554432$",
    )
    zipped(path, GOOD)
    size = 2 * (46 + len("A/1.png"))
    monkeypatch.setattr(archives._Source, "most", size)
    assert len(whole(path)[1]) == 2
    monkeypatch.setattr(archives._Source, "most", size - 1)
    refused(
        path,
        rf"set\.zip is no whole zip: the list of its members takes {size} bytes, more than"
        rf" {size - 1}$",
    )


@pytest.mark.parametrize(
    "content", [b"", b"PK", b"PK\5\6" + bytes(18), b"PK\5\6" + b"\xff" * 18, bytes(100)]
)
def test_a_file_that_is_no_zip_is_named(tmp_path, content):
    (tmp_path / "set.zip").write_bytes(content)
    refused(tmp_path / "set.zip", r"set\.zip (is no whole zip: |must hold pictures of every class)")


def test_a_zip_that_is_no_file_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "set.zip")
    refused(tmp_path / "set.zip", r"set\.zip cannot be read: Not a regular file$")
    (tmp_path / "archive.zip").symlink_to("/dev/zero")
    assert folders.find(SPEC, tmp_path) is None


def test_a_zip_that_changed_since_it_was_listed_is_named(tmp_path):
    path = zipped(tmp_path / "set.zip", GOOD)
    found = folders.listing(SPEC, path)
    zipped(path, GOOD[:1])
    with pytest.raises(DataError, match=r"B/1\.png cannot be read: .*no item named"):
        folders.read(SPEC, found, progress=False)


@given(
    st.lists(st.tuples(st.integers(0, 10**4), st.binary(min_size=1, max_size=2)), max_size=3),
    st.integers(0, 99),
)
@settings(max_examples=150, deadline=None)
def test_a_damaged_zip_is_read_or_one_line(tmp_path_factory, changes, cut):
    path = zipped(tmp_path_factory.getbasetemp() / "damaged.zip", GOOD, zipfile.ZIP_DEFLATED)
    content = bytearray(path.read_bytes())
    for place, new in changes:
        place %= len(content)
        content[place : place + 1] = new
    path.write_bytes(content[: len(content) - (cut if cut < 30 else 0)])
    try:
        assert len(whole(path)[1]) > 1
    except DataError as error:
        assert str(error).isprintable()  # noqa: PT017
