"""Original files wherever they may lie, and whatever may lie in their places."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import io
import os
import tarfile
import time

import numpy as np
import pytest
from files import described, write_cifar_set, write_idx_set

from jaxode.data import SPECS, DataError, original_files, unpacked
from jaxode.data.full import load_full
from jaxode.data.readers import IDX, Unavailable

FIRST = "train-images-idx3-ubyte.gz"


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXODE_DATA", str(tmp_path / "cache"))


def train(spec, root):
    return load_full(spec, root, progress=False)["train"]


def moved(source, target):
    target.mkdir(parents=True)
    for path in list(source.glob("*.gz")):
        path.rename(target / path.name)


def unpack(folder, rename=lambda name: name):
    for path in list(folder.glob("*.gz")):
        target = folder / rename(path.name.removesuffix(".gz"))
        target.write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize(
    ("name", "folder", "given"),
    [
        ("mnist", "MNIST/raw", ""),
        ("mnist", "MNIST/raw", "MNIST"),
        ("mnist", "MNIST/raw", "MNIST/raw"),
        ("fashion_mnist", "FashionMNIST/raw", ""),
        ("qmnist", "QMNIST/raw", ""),
        ("mnist", "mnist", ""),
    ],
)
def test_torchvision_s_folders_are_used(tmp_path, name, folder, given, packed):
    folder_of = SPECS[name].torchvision_folder
    made = write_idx_set(tmp_path / "made")
    spec = dataclasses.replace(made, name=name, torchvision_folder=folder_of)
    expected = train(spec, tmp_path / "made")
    moved(tmp_path / "made", tmp_path / "data" / folder)
    if not packed:
        unpack(tmp_path / "data" / folder)
    for ours, theirs in zip(train(spec, tmp_path / "data" / given), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_files_of_mnist_are_used_by_kaggle_s_names(tmp_path):
    spec = write_idx_set(tmp_path)
    unpack(tmp_path, lambda name: name.replace("-idx", ".idx"))
    (tmp_path / "train-images-idx3-ubyte").mkdir()
    assert len(train(spec, tmp_path)[0]) == 30


def test_one_set_of_torchvision_s_is_not_mistaken_for_another(tmp_path):
    spec = write_idx_set(tmp_path / "made", url="http://127.0.0.1:9/")
    moved(tmp_path / "made", tmp_path / "data" / "FashionMNIST" / "raw")
    with pytest.raises(Unavailable, match="there is no"):
        train(spec, tmp_path / "data")


def test_an_unpacked_file_is_checked_as_the_packed_one(tmp_path, real_data):
    spec = SPECS["mnist"]
    found = original_files.find(spec, real_data)
    if found is None:
        pytest.skip("no original files of mnist in the folder of test data")
    labels = spec.train_files[1]
    contents = gzip.decompress(found[labels.name].read_bytes())
    wanted = unpacked.expected(labels, "train-labels-idx1-ubyte")
    assert wanted.size == len(contents)
    assert wanted.digest == "sha256:" + hashlib.sha256(contents).hexdigest()
    path = tmp_path / wanted.name
    path.write_bytes(contents[:-1] + bytes([contents[-1] ^ 1]))
    with pytest.raises(DataError, match=f"{wanted.name} must have sha256"):
        original_files._read(labels, path)


def test_every_file_of_mnist_and_its_kin_has_a_size_when_unpacked():
    for spec in SPECS.values():
        for file in spec.files if spec.reader is IDX else ():
            assert unpacked.expected(file, unpacked.names(file)[1]).size


def test_unpacked_files_may_take_the_place_of_packed_ones_but_not_change(tmp_path):
    spec = write_idx_set(tmp_path)
    expected = train(spec, tmp_path)
    unpack(tmp_path)
    np.testing.assert_array_equal(train(spec, tmp_path)[0], expected[0])
    path = tmp_path / FIRST.removesuffix(".gz")
    raw = bytearray(path.read_bytes())
    raw[5000] ^= 1
    path.write_bytes(raw)
    with pytest.raises(DataError, match=r"not those that .* was prepared from"):
        train(spec, tmp_path)


def test_what_a_desktop_leaves_beside_the_files_changes_nothing(tmp_path):
    for spec in (write_idx_set(tmp_path / "i"), write_cifar_set(tmp_path / "c", archived=False)):
        root = tmp_path / ("i" if spec.reader is IDX else "c")
        for folder in (root, root / "cifar-10-batches-bin"):
            (folder / "__MACOSX").mkdir(parents=True, exist_ok=True)
            names = ["Thumbs.db", ".DS_Store", "._MNIST"]
            for name in names + [f"._{file.name}" for file in spec.files]:
                (folder / name).write_bytes(b"\0\5\x16\7")
        assert len(train(spec, root)[0]) == 30


@pytest.mark.parametrize("place", ["", "cifar10"])
@pytest.mark.parametrize("name", ["cifar-10-batches-py", "cifar-10-python.tar.gz"])
def test_the_python_version_of_cifar_is_named(tmp_path, name, place):
    spec = write_cifar_set(tmp_path / "made", archived=True)
    archive = dataclasses.replace(spec.archive, url="http://127.0.0.1:9/cifar-10-binary.tar.gz")
    spec = dataclasses.replace(spec, archive=archive)
    (tmp_path / place / name).mkdir(parents=True)
    for given in {tmp_path, tmp_path / place}:
        with pytest.raises(
            Unavailable,
            match=f"cifar-10-binary.tar.gz.*only {tmp_path / place / name}, whose pickles",
        ):
            train(spec, given)
    inside = tmp_path / place / name
    with pytest.raises(Unavailable, match=f"cifar-10-binary.tar.gz.*only {inside}, whose pickles"):
        train(spec, inside)


def a_fifo(path):
    os.mkfifo(path)


def a_folder(path):
    path.mkdir()


def a_dangling_link(path):
    path.symlink_to("nowhere")


def a_link_to_itself(path):
    path.symlink_to(path.name)


def a_device(path):
    path.symlink_to("/dev/zero")


OTHERS = {
    a_fifo: "a FIFO",
    a_folder: "a folder",
    a_dangling_link: "a link to nothing",
    a_link_to_itself: "not to be opened",
    a_device: "a device",
}


@pytest.mark.parametrize("make", OTHERS)
@pytest.mark.parametrize("name", [FIRST, FIRST.removesuffix(".gz"), "mnist/" + FIRST])
def test_what_is_no_file_is_named_and_not_opened(tmp_path, make, name):
    spec = write_idx_set(tmp_path)
    (tmp_path / "mnist").mkdir()
    (tmp_path / FIRST).unlink()
    make(tmp_path / name)
    with pytest.raises(DataError, match=f"{name} must be a file, and is {OTHERS[make]}"):
        train(spec, tmp_path)


@pytest.mark.parametrize("make", OTHERS)
def test_an_archive_that_is_no_file_is_named(tmp_path, make):
    spec = write_cifar_set(tmp_path, archived=True)
    (tmp_path / spec.archive.name).unlink()
    make(tmp_path / spec.archive.name)
    words = f"{spec.archive.name} must be a file, and is {OTHERS[make]}"
    with pytest.raises(DataError, match=words):
        train(spec, tmp_path)


@pytest.mark.parametrize("make", OTHERS)
def test_the_icebergs_file_that_is_none_is_named(tmp_path, make):
    make(tmp_path / "train.json")
    with pytest.raises(DataError, match=f"train.json must be a file, and is {OTHERS[make]}"):
        SPECS["iceberg"].reader.find(SPECS["iceberg"], tmp_path, progress=False)


@pytest.mark.parametrize("published", [True, False])
def test_a_file_of_another_size_is_not_read(tmp_path, published):
    spec = write_idx_set(tmp_path)
    if not published:
        without = dataclasses.replace(spec.train_files[0], size=None, digest=None)
        spec = dataclasses.replace(spec, train_files=(without, spec.train_files[1]))
    os.truncate(tmp_path / FIRST, 2**40)
    start = time.perf_counter()
    with pytest.raises(DataError, match=f"{FIRST} must have .*bytes, found {2**40}"):
        train(spec, tmp_path)
    assert time.perf_counter() - start < 5


def test_an_archive_of_another_size_is_not_read(tmp_path):
    spec = write_cifar_set(tmp_path, archived=True)
    os.truncate(tmp_path / spec.archive.name, 2**40)
    with pytest.raises(DataError, match=f"{spec.archive.name} must have .*bytes, found {2**40}"):
        train(spec, tmp_path)


def archived(tmp_path, spec, *members):
    """The set with an archive of these members, whose digest is right."""
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as stream:
        for member in members:
            stream.write(member.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape"))
            stream.write(bytes(-(-member.size // 512) * 512 if member.size < 2**20 else 0))
        stream.write(bytes(1024))
    path = tmp_path / spec.archive.name
    path.write_bytes(packed.getvalue())
    return dataclasses.replace(spec, archive=described(path.name, path.read_bytes()))


def entry(name, size=0, kind=tarfile.REGTYPE, target=""):
    member = tarfile.TarInfo(name)
    member.size, member.type, member.linkname = size, kind, target
    return member


BATCH = "cifar-10-batches-bin/data_batch_1.bin"

MEMBERS = {
    "huge": (
        [entry(BATCH, 8 * 2**30)],
        "data_batch_1.bin must have at most .* announces 8589934592",
    ),
    "huge neighbour": ([entry("other", 8 * 2**30)], "other must have at most"),
    "short": ([entry(BATCH, 10)], "data_batch_1.bin must have 92190 bytes, found 10"),
    "link": (
        [entry(BATCH, kind=tarfile.SYMTYPE, target="/etc/passwd")],
        "data_batch_1.bin must be a file of the arch",
    ),
    "hard link": (
        [entry(BATCH, kind=tarfile.LNKTYPE, target="x")],
        "data_batch_1.bin must be a file of the archive",
    ),
    "device": (
        [entry(BATCH, kind=tarfile.CHRTYPE)],
        "data_batch_1.bin must be a file of the archive",
    ),
    "folder": (
        [entry(BATCH, kind=tarfile.DIRTYPE)],
        "data_batch_1.bin must be a file of the archive",
    ),
    "no UTF-8": (
        [entry("cifar-10-batches-bin/\udcff\udcfe")],
        "it has no data_batch_1.bin, test_batch.bin",
    ),
    "upwards": ([entry("../../" + BATCH)], "it has no data_batch_1.bin"),
    "nothing": ([], "it has no data_batch_1.bin"),
}


@pytest.mark.parametrize("name", MEMBERS)
def test_members_that_are_not_what_they_should_be_are_named(tmp_path, name):
    members, words = MEMBERS[name]
    spec = archived(tmp_path, write_cifar_set(tmp_path, archived=True), *members)
    start = time.perf_counter()
    with pytest.raises(DataError, match=words) as error:
        train(spec, tmp_path)
    assert "\n" not in str(error.value)
    assert time.perf_counter() - start < 5


def test_no_damage_of_an_archive_is_a_traceback(tmp_path):
    spec = write_cifar_set(tmp_path, archived=True)
    path = tmp_path / spec.archive.name
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    tar, messages = gzip.decompress(whole), []
    for number in range(60):
        if number % 2:
            raw = bytearray(whole[: rng.integers(len(whole))] if number % 3 else whole)
            raw[rng.integers(len(raw))] ^= 1 << int(rng.integers(8))
        else:  # of the archive inside
            raw = bytearray(tar)
            raw[rng.integers(600)] = int(rng.integers(256))
            raw = gzip.compress(bytes(raw), 1)
        path.write_bytes(raw)
        spec = dataclasses.replace(spec, archive=described(path.name, bytes(raw)))
        try:
            original_files.read(spec, path)
        except DataError as error:
            messages.append(str(error))
    assert len(messages) > 20
    assert all(str(path) in message and "\n" not in message for message in messages)
