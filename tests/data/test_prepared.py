"""Prepared sets: whatever happens to them on disk ends in the same arrays or in one line."""

from __future__ import annotations

import fcntl
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from files import write_cifar_set, write_folders_set, write_idx_set

from jaxode.data import DataError, builders, locks, prepared
from jaxode.data.full import load_full

VERSION = str(builders.ImageBlocks.VERSION)
RECORD = "mnist-train.array_record-00000-of-00001"


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXODE_DATA", str(tmp_path / "cache"))


@pytest.fixture
def small(tmp_path):
    """A prepared set with its originals, the folder it is in, and its arrays."""
    root = tmp_path / "data"
    spec = write_idx_set(root)
    arrays = load_full(spec, root, progress=False)
    return spec, root, root / "prepared" / "mnist" / VERSION, arrays


def without_originals(spec, root):
    for file in spec.files:
        (root / file.name).unlink()


def assert_equal(one, other):
    assert set(one) == set(other)
    for split, arrays in one.items():
        for a, b in zip(arrays, other[split], strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)


def rewritten(change):
    """Damage that changes the values of a JSON file."""

    def damage(path):
        path.write_text(json.dumps(change(json.loads(path.read_text()))))

    return damage


def fifo(path):
    path.unlink()
    os.mkfifo(path)


def folder(path):
    path.unlink()
    path.mkdir()


def dangling(path):
    path.unlink()
    path.symlink_to("nowhere")


def first_split_alone(info):
    return info | {"splits": info["splits"][:1]}


def longer(info):
    lengths = {"shardLengths": ["1000000000000"]}
    return info | {"splits": [split | lengths for split in info["splits"]]}


DAMAGES = {
    "info truncated": ("dataset_info.json", lambda path: path.write_bytes(path.read_bytes()[:100])),
    "info missing": ("dataset_info.json", lambda path: path.unlink()),
    "info empty": ("dataset_info.json", lambda path: path.write_bytes(b"")),
    "info binary": ("dataset_info.json", lambda path: path.write_bytes(bytes(range(256)))),
    "info nested": ("dataset_info.json", lambda path: path.write_text("[" * 100_000)),
    "info huge": ("dataset_info.json", lambda path: os.truncate(path, 2**33)),
    "info of another version": (
        "dataset_info.json",
        rewritten(lambda info: info | {"version": "9.0.0"}),
    ),
    "info without a split": ("dataset_info.json", rewritten(first_split_alone)),
    "info of too many records": ("dataset_info.json", rewritten(longer)),
    "info a FIFO": ("dataset_info.json", fifo),
    "info a folder": ("dataset_info.json", folder),
    "features a FIFO": ("features.json", fifo),
    "metadata missing": ("metadata.json", lambda path: path.unlink()),
    "metadata a list": ("metadata.json", lambda path: path.write_text("[1]")),
    "metadata other": ("metadata.json", rewritten(lambda content: content | {"test": "0" * 64})),
    "metadata nested": ("metadata.json", lambda path: path.write_text("[" * 100_000)),
    "record missing": (RECORD, lambda path: path.unlink()),
    "record truncated": (RECORD, lambda path: os.truncate(path, 70_000)),
    "record huge": (RECORD, lambda path: os.truncate(path, 2**40)),
    "record empty": (RECORD, lambda path: os.truncate(path, 0)),
    "record a FIFO": (RECORD, fifo),
    "record a dangling link": (RECORD, dangling),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_set_is_prepared_again_or_the_folder_is_named(small, capsys, name):
    spec, root, stored, arrays = small
    file, damage = DAMAGES[name]
    damage(stored / file)
    assert_equal(load_full(spec, root, progress=False), arrays)
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1
    assert f"the prepared set in {stored} is damaged" in printed
    assert_equal(load_full(spec, root, progress=False), arrays)
    assert capsys.readouterr().err == ""

    damage(stored / file)
    without_originals(spec, root)
    words = f"prepared set in {stored} is damaged .* delete that folder"
    with pytest.raises(DataError, match=words) as error:
        load_full(spec, root, progress=False)
    assert "\n" not in str(error.value)


def test_a_damaged_byte_never_gives_other_arrays(small):
    spec, root, stored, arrays = small
    without_originals(spec, root)
    rng = random.Random(0)
    whole = {path: path.read_bytes() for path in stored.iterdir()}
    ends = {"same": 0, "named": 0}
    for _ in range(120):
        path = rng.choice(list(whole))
        raw, place = bytearray(whole[path]), rng.randrange(min(len(whole[path]), 20_000))
        other = rng.choice([b"", b"\0", bytes([rng.randrange(256)])])
        raw[place : place + rng.choice([1, 1, 30])] = other
        path.write_bytes(raw)
        try:
            assert_equal(load_full(spec, root, progress=False), arrays)
            ends["same"] += 1
        except DataError as error:
            ends["named"] += str(stored) in str(error)
        path.write_bytes(whole[path])
    assert sum(ends.values()) == 120
    assert min(ends.values()) > 10


def test_an_unreadable_file_is_damage_too(small, monkeypatch, capsys):
    spec, root, _, arrays = small
    read, calls = builders.ImageBlocks.read, []

    def unreadable(self):
        calls.append(self)
        if len(calls) == 1:
            raise PermissionError(13, "Permission denied")
        return read(self)

    monkeypatch.setattr(builders.ImageBlocks, "read", unreadable)
    # Again under the lock, where it is found whole: as if another process had prepared it.
    assert_equal(load_full(spec, root, progress=False), arrays)
    assert capsys.readouterr().err == ""


def test_a_half_written_folder_and_a_file_in_its_place_are_replaced(small, capsys):
    spec, root, stored, arrays = small
    for name in ("dataset_info.json", "metadata.json", "features.json"):
        (stored / name).unlink()
    assert_equal(load_full(spec, root, progress=False), arrays)
    for path in stored.iterdir():
        path.unlink()
    assert_equal(load_full(spec, root, progress=False), arrays)
    for path in stored.iterdir():
        path.unlink()
    stored.rmdir()
    stored.write_text("no folder")
    assert_equal(load_full(spec, root, progress=False), arrays)
    assert capsys.readouterr().err.count("is damaged") == 3


def test_a_damaged_set_that_comes_unsplit_is_prepared_again(tmp_path, capsys):
    spec = write_folders_set(tmp_path)
    arrays = load_full(spec, tmp_path, progress=False)
    next((tmp_path / "prepared").rglob("dataset_info.json")).write_text("{")
    assert_equal(load_full(spec, tmp_path, progress=False), arrays)
    assert "is damaged" in capsys.readouterr().err


def test_what_a_desktop_leaves_in_the_folder_is_not_damage(small, capsys):
    spec, root, stored, arrays = small
    for place in (stored, stored.parent, stored.parent.parent):
        (place / "__MACOSX").mkdir()
        for name in (".DS_Store", "._dataset_info.json", "Thumbs.db"):
            (place / name).write_bytes(b"\0\5\x16\7")
    assert_equal(load_full(spec, root, progress=False), arrays)
    assert capsys.readouterr().err == ""


def in_the_way(path):
    path.write_text("no folder")


def link_to_nothing(path):
    path.symlink_to("nowhere")


@pytest.mark.parametrize("obstacle", [in_the_way, link_to_nothing, os.mkfifo])
@pytest.mark.parametrize("place", ["prepared", "prepared/mnist"])
def test_a_set_that_cannot_be_written_is_one_line(tmp_path, obstacle, place):
    spec = write_idx_set(tmp_path)
    (tmp_path / place).parent.mkdir(exist_ok=True)
    obstacle(tmp_path / place)
    words = r"mnist cannot be prepared in .*/prepared/mnist/.*: (Not a dir|File ex)"
    with pytest.raises(DataError, match=words):
        load_full(spec, tmp_path, progress=False)


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), RuntimeError("write\nfailed")]
)
def test_a_disk_that_is_full_is_one_line_and_leaves_nothing(tmp_path, monkeypatch, error):
    spec = write_idx_set(tmp_path)

    def full(*_):
        raise error

    monkeypatch.setattr(builders.ImageBlocks, "_generate_examples", full)
    words = r"mnist cannot be prepared in .*: (No space left|.*write failed)"
    with pytest.raises(DataError, match=words):
        load_full(spec, tmp_path, progress=False)
    assert [path.name for path in (tmp_path / "prepared").rglob("*")] == ["mnist"]


KILLED = """
import os, signal, sys
from pathlib import Path
from jaxode.data import builders, prepared
from files import write_idx_set
from jaxode.data.full import load_full
root = Path(sys.argv[1])
spec = write_idx_set(root)
def kill(*_):
    os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[2] == "writing":
    builders.ImageBlocks._generate_examples = kill
else:
    load_full(spec, root, progress=False)
    next((root / "prepared").rglob("dataset_info.json")).write_text("{")
    rename = os.rename
    def once(source, target):
        rename(source, target)
        if str(target).endswith("/damaged"):
            kill()
    prepared.os.rename = once
load_full(spec, root, progress=False)
"""


@pytest.mark.parametrize("moment", ["writing", "replacing"])
def test_what_a_kill_leaves_is_mended_by_the_next_start(tmp_path, moment):
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", KILLED, str(tmp_path), moment]
    killed = subprocess.run(command, env=env, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    left = list((tmp_path / "prepared").glob(f"{locks.LEFTOVER}*"))
    assert left
    spec = write_idx_set(tmp_path)
    assert len(load_full(spec, tmp_path, progress=False)["train"][1]) == 30
    assert [path.name for path in (tmp_path / "prepared").iterdir()] == ["mnist"]
    assert [path.name for path in (tmp_path / "prepared" / "mnist").iterdir()] == [VERSION]


def leftovers(root):
    """As kills leave them, of this program and of TFDS; and what only looks alike."""
    ours, theirs = (
        root / "prepared" / f"{locks.LEFTOVER}x",
        root / "prepared" / "mnist" / f"incomplete.AB12CD_{VERSION}",
    )
    others = [
        root / "prepared" / "incomplete.thesis",
        root / "prepared" / "notes" / f"incomplete.AB12CD_{VERSION}",
    ]
    for path in (ours, theirs, *others):
        path.mkdir(parents=True)
        (path / "file").write_text("half")
    return [ours, theirs], others


def test_leftovers_are_swept_where_the_set_is_ready(small):
    spec, root, _, arrays = small
    left, others = leftovers(root)
    assert_equal(load_full(spec, root, progress=False), arrays)
    assert not any(path.exists() for path in left)
    assert all(path.exists() for path in others)


@pytest.mark.parametrize("locking", ["taken", "none here"])
def test_nothing_is_swept_without_the_lock(small, monkeypatch, locking):
    spec, root, _, arrays = small
    left, _ = leftovers(root)
    handle = os.open(root / "prepared", os.O_RDONLY)
    if locking == "taken":
        fcntl.flock(handle, fcntl.LOCK_EX)
    else:

        def none(*_):
            raise OSError(95, "Operation not supported")

        monkeypatch.setattr(fcntl, "flock", none)
    assert_equal(load_full(spec, root, progress=False), arrays)
    os.close(handle)
    assert all(path.exists() for path in left)


def test_without_locks_a_set_is_still_prepared_and_replaced(tmp_path, monkeypatch):
    def none(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", none)
    spec = write_idx_set(tmp_path)
    arrays = load_full(spec, tmp_path, progress=False)
    next((tmp_path / "prepared").rglob("metadata.json")).write_text("{")
    assert_equal(load_full(spec, tmp_path, progress=False), arrays)


def test_two_that_prepare_the_same_set_take_turns(tmp_path, monkeypatch, capsys):
    spec = write_idx_set(tmp_path)
    (tmp_path / "prepared").mkdir()
    handle = os.open(tmp_path / "prepared", os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    written, write = [], prepared.PreparedSet._write

    def counted(self, *args, **kwargs):
        written.append(threading.get_ident())
        write(self, *args, **kwargs)

    monkeypatch.setattr(prepared.PreparedSet, "_write", counted)
    arrays = []

    def loading():
        arrays.append(load_full(spec, tmp_path, progress=False))

    threads = [threading.Thread(target=loading) for _ in range(2)]
    for thread in threads:
        thread.start()
    printed, deadline = "", time.monotonic() + 60
    while printed.count("waiting for another process") < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
        printed += capsys.readouterr().err
    assert printed.count("waiting for another process that prepares a set") == 2
    assert not written
    os.close(handle)
    for thread in threads:
        thread.join(60)
    assert len(written) == 1
    assert_equal(*arrays)


@pytest.mark.parametrize(
    "name",
    [
        "two words",
        "50%",
        "{x}",
        "[a]*?",
        "a@3",
        "a:b",
        "#",
        "line\nbreak",
        "\udcff",
        "é" * 100,
        "-x",
    ],
)
def test_a_folder_may_have_any_name(tmp_path, name):
    root = tmp_path / name
    spec = write_cifar_set(root, archived=False)
    arrays = load_full(spec, root, progress=False)
    assert_equal(load_full(spec, root, progress=False), arrays)
    assert len(list(tmp_path.rglob("*.array_record*"))) == 2
