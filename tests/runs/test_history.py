"""The history of a run in a file that only grows."""

import errno
import hashlib
import json
import os

import pytest
from runs import bytes_written

from jaxode.runs import history
from jaxode.runs.history import HistoryFile, check, encoded, first_lines


def line(epoch, **changes):
    names = (*history.NUMBERS, "test_accuracy", "train_accuracy", "nfe_forward")
    return {"epoch": epoch, **dict.fromkeys(names, 0.5), "nfe_per_block": [20.0, 26.5], **changes}


LINES = [line(epoch) for epoch in range(1, 7)]


def text(count):
    return b"".join(encoded(one) for one in LINES[:count])


def digest(count):
    return hashlib.sha256(text(count)).hexdigest()


def test_an_epoch_is_appended(tmp_path):
    file = HistoryFile(tmp_path / "h")
    for count in (2, 3, 3, 6):
        file.write(LINES[:count])
        assert file.path.read_bytes() == text(count)
        assert file.digest.hexdigest() == digest(count)
    begin = bytes_written()
    file.write([*LINES, line(7)])
    assert bytes_written() - begin == len(encoded(line(7)))
    file.write(LINES[:4])
    assert file.path.read_bytes() == text(4)


@pytest.mark.parametrize(
    "left",
    [
        text(2),
        text(3) + text(6)[len(text(3)) : -20],
        text(5),
        text(3)[:-1],
        b"",
        b"other\n",
        b"x" * len(text(3)),
    ],
)
def test_whatever_a_kill_has_left_the_file_holds_the_history(tmp_path, left):
    (tmp_path / "h").write_bytes(left)
    file = HistoryFile(tmp_path / "h")
    for count in (3, 4):
        file.write(LINES[:count])
        assert file.path.read_bytes() == text(count)
        assert file.digest.hexdigest() == digest(count)
    assert [path.name for path in tmp_path.iterdir()] == ["h"]


def test_a_file_that_is_as_it_should_be_is_not_written_anew(tmp_path):
    (tmp_path / "h").write_bytes(text(3))
    before = (tmp_path / "h").stat().st_ino
    HistoryFile(tmp_path / "h").write(LINES[:3])
    assert (tmp_path / "h").stat().st_ino == before


def test_another_file_in_its_place_is_replaced_and_not_appended_to(tmp_path):
    file, other = HistoryFile(tmp_path / "h"), tmp_path / "other"
    file.write(LINES[:3])
    other.write_bytes(text(3))
    file.path.unlink()
    file.path.symlink_to(other)
    file.write(LINES[:4])
    assert (file.path.read_bytes(), other.read_bytes()) == (text(4), text(3))
    file.path.unlink()
    os.mkfifo(file.path)
    file.write(LINES[:5])
    assert file.path.read_bytes() == text(5)
    file.path.unlink()
    file.path.symlink_to(other)
    again = HistoryFile(file.path)
    again.write(LINES[:3])  # the same content: the first writing does not follow it either
    assert not file.path.is_symlink()


def test_a_file_that_somebody_has_cut_is_made_whole_again(tmp_path):
    file = HistoryFile(tmp_path / "h")
    file.write(LINES[:3])
    os.truncate(file.path, len(text(2)) + 7)
    file.write(LINES[:4])
    assert file.path.read_bytes() == text(4)


def test_a_full_disk_leaves_whole_lines(tmp_path, monkeypatch):
    file, write = HistoryFile(tmp_path / "h"), os.write
    file.write(LINES[:3])
    calls = []

    def full(descriptor, data):
        calls.append(len(data))
        if len(calls) > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, data[:10])

    monkeypatch.setattr(history.os, "write", full)
    with pytest.raises(OSError, match="No space left on device") as caught:
        file.write(LINES[:4])
    assert caught.value.filename == str(file.path)
    assert file.path.read_bytes() == text(3)
    monkeypatch.undo()
    file.write(LINES[:4])
    assert (file.path.read_bytes(), file.digest.hexdigest()) == (text(4), digest(4))


def test_the_first_lines_are_known_by_their_digest(tmp_path):
    path = tmp_path / "h"
    path.write_bytes(text(5) + b'{"epoch": 6, "lo')
    for count in (1, 5):
        assert first_lines(path, count, digest(count)) == LINES[:count]
    assert first_lines(path, 4, digest(5)) is None
    assert first_lines(path, 6, digest(6)) is None
    assert first_lines(path, 10**18, digest(5)) is None
    assert first_lines(tmp_path / "none", 1, digest(1)) is None
    assert first_lines(tmp_path, 1, digest(1)) is None
    os.mkfifo(tmp_path / "fifo")
    assert first_lines(tmp_path / "fifo", 1, digest(1)) is None
    path.write_bytes(b'{"a": 1, "a": 2}\n')
    with pytest.raises(ValueError, match="h, line 1: key 'a' is listed twice"):
        first_lines(path, 1, hashlib.sha256(path.read_bytes()).hexdigest())


def test_no_more_is_read_than_a_history_can_be(tmp_path, monkeypatch):
    path = tmp_path / "h"
    path.write_bytes(text(5))
    monkeypatch.setattr(history, "FILE_BYTES", len(text(3)))
    assert first_lines(path, 3, digest(3)) == LINES[:3]
    assert first_lines(path, 5, digest(5)) is None
    monkeypatch.setattr(history, "LINE_BYTES", len(text(1)) - 1)
    assert first_lines(path, 1, digest(1)) is None


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (None, "epoch must be 2, got None"),
        (line(3), "epoch must be 2"),
        (line(True), "epoch must be 2"),
        ({}, "epoch must be 2"),
        (line(2, test_accuracy=None), "test_accuracy must be a number, got None"),
        (line(2, train_seconds="1"), "train_seconds must be a number, got 1"),
        (line(2, nfe_forward=[1]), r"nfe_forward must be a number or null, got \[1\]"),
        (
            {key: value for key, value in line(2).items() if key != "loss"},
            "loss must be a number, got none",
        ),
    ],
)
def test_lines_that_are_no_history_are_named(wrong, message):
    check([line(1), line(2, nfe_forward=None)], "h", "test_accuracy")
    with pytest.raises(ValueError, match=f"^h, epoch 2: {message}"):
        check([line(1), wrong], "h", "test_accuracy")


def test_a_line_read_and_written_again_is_the_same_line():
    for one in (LINES[0], line(2, loss=1e-300, lr=0.1 + 0.2, test_loss=5)):
        assert encoded(json.loads(encoded(one))) == encoded(one)
