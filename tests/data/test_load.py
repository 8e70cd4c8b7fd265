"""From a DataConfig to arrays: every route, and every way it can fail, ends in arrays or in one
clear line.
"""

from __future__ import annotations

import dataclasses
import os
import sys

import numpy as np
import pytest
from files import write_cifar_set, write_folders_set, write_idx_set

from jaxode.checks import ConfigError
from jaxode.config import DataConfig
from jaxode.data import SPECS, DataError, ImageSet, load, original_files
from jaxode.data.full import load_full
from jaxode.data.readers import Unavailable


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXODE_DATA", str(tmp_path / "cache"))


def _full(spec, root):
    splits = load_full(spec, root, progress=False)
    (images, labels), (test_images, test_labels) = splits["train"], splits["test"]
    return images, labels, test_images, test_labels


@pytest.mark.parametrize("place", ["", "mnist"])
def test_idx_files_are_found_prepared_and_read_back(tmp_path, place):
    spec = write_idx_set(tmp_path / place)
    expected = spec.reader.arrays(
        spec, original_files.read(spec, original_files.find(spec, tmp_path))
    )
    images, labels, test_images, test_labels = _full(spec, tmp_path)
    np.testing.assert_array_equal(images, expected["train"][0])
    np.testing.assert_array_equal(labels, expected["train"][1])
    np.testing.assert_array_equal(test_images, expected["test"][0])
    np.testing.assert_array_equal(test_labels, expected["test"][1])
    assert images.shape == (30, 28, 28, 1)


@pytest.mark.parametrize("archived", [False, True])
@pytest.mark.parametrize("place", ["", "cifar10"])
def test_cifar_is_found_as_a_folder_and_as_an_archive(tmp_path, archived, place):
    spec = write_cifar_set(tmp_path / place, archived=archived)
    images, labels, *_ = _full(spec, tmp_path)
    assert images.shape == (30, 32, 32, 3)
    assert labels.max() < 10


def test_a_folder_of_batches_may_be_named_itself(tmp_path):
    spec = write_cifar_set(tmp_path, archived=False)
    assert len(_full(spec, tmp_path / "cifar-10-batches-bin")[0]) == 30


def test_a_prepared_set_serves_without_its_originals(tmp_path):
    spec = write_idx_set(tmp_path)
    first = _full(spec, tmp_path)
    for file in spec.files:
        (tmp_path / file.name).unlink()
    for before, after in zip(first, _full(spec, tmp_path), strict=True):
        np.testing.assert_array_equal(before, after)


def test_originals_are_checked_even_when_the_set_is_prepared(tmp_path):
    spec = write_idx_set(tmp_path)
    _full(spec, tmp_path)
    path = tmp_path / spec.files[0].name
    damaged = bytearray(path.read_bytes())
    damaged[100] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(DataError, match=r"must have sha256 [0-9a-f]{64}, found [0-9a-f]{64}"):
        _full(spec, tmp_path)


def test_an_interrupted_preparation_is_not_mistaken_for_a_set(tmp_path, monkeypatch):
    spec = write_idx_set(tmp_path)

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("jaxode.data.builders.ImageBlocks._generate_examples", stop)
        with pytest.raises(KeyboardInterrupt):
            _full(spec, tmp_path)
    assert len(_full(spec, tmp_path)[0]) == 30


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"])
def test_a_truncated_file_is_named_with_both_sizes(tmp_path, name):
    spec = write_idx_set(tmp_path)
    path = tmp_path / name
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(DataError, match=f"{name} must have {size} bytes, found {size - 7}"):
        _full(spec, tmp_path)


def test_one_changed_byte_of_a_cifar_batch_is_named(tmp_path):
    spec = write_cifar_set(tmp_path, archived=False)
    path = tmp_path / "cifar-10-batches-bin" / "data_batch_1.bin"
    raw = bytearray(path.read_bytes())
    raw[5000] ^= 255
    path.write_bytes(raw)
    with pytest.raises(DataError, match=r"data_batch_1\.bin must have sha256"):
        _full(spec, tmp_path)


def test_an_archive_without_its_batches_is_named(tmp_path):
    spec = write_cifar_set(tmp_path, archived=True)
    with pytest.raises(DataError, match=r"not the archive of cifar10.*other\.bin"):
        original_files.read(
            dataclasses.replace(
                spec, test_files=(dataclasses.replace(spec.test_files[0], name="other.bin"),)
            ),
            original_files.find(spec, tmp_path),
        )


def test_files_that_are_missing_are_named(tmp_path):
    spec = write_idx_set(tmp_path, url="http://127.0.0.1:9/")
    (tmp_path / "t10k-images-idx3-ubyte.gz").unlink()
    with pytest.raises(
        Unavailable, match=r"lacks t10k-images-idx3-ubyte\.gz of the 4 files.*cannot be reached"
    ):
        _full(spec, tmp_path)


def test_the_folder_named_after_the_set_comes_first(tmp_path):
    write_idx_set(tmp_path, train=10)  # the files of another set, under the same names
    spec = write_idx_set(tmp_path / "mnist")
    assert len(_full(spec, tmp_path)[0]) == 30


def test_a_prepared_set_that_cannot_be_written_is_one_line(tmp_path):
    spec = write_idx_set(tmp_path)
    (tmp_path / "prepared").write_text("in the way")
    with pytest.raises(DataError, match=r"mnist cannot be prepared in .*: Not a directory"):
        _full(spec, tmp_path)


def test_a_file_without_a_published_checksum_may_not_change_once_prepared(tmp_path):
    spec = write_cifar_set(tmp_path, archived=False)
    bare = tuple(dataclasses.replace(file, digest=None) for file in spec.train_files)
    spec = dataclasses.replace(spec, train_files=bare)
    _full(spec, tmp_path)
    path = tmp_path / "cifar-10-batches-bin" / "data_batch_1.bin"
    raw = bytearray(path.read_bytes())
    raw[5000] ^= 255
    path.write_bytes(raw)
    with pytest.raises(DataError, match=r"not those that .* was prepared from"):
        _full(spec, tmp_path)


@pytest.fixture
def offline(monkeypatch):
    """Every address is one that nobody answers."""
    for name, spec in list(SPECS.items()):
        files = tuple(
            dataclasses.replace(file, url="http://127.0.0.1:9/") for file in spec.train_files
        )
        archive = spec.archive and dataclasses.replace(spec.archive, url="http://127.0.0.1:9/")
        monkeypatch.setitem(
            SPECS, name, dataclasses.replace(spec, train_files=files, archive=archive)
        )


def test_auto_falls_back_to_the_sample_and_says_so(tmp_path, offline, capsys):
    data = load(DataConfig("mnist", "auto", str(tmp_path)))
    assert data.source == "sample"
    assert "SAMPLE of mnist" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (DataConfig("mnist", "full", "."), "cannot be reached"),
        (DataConfig("qmnist", "auto"), "get the original files from"),
        (DataConfig("cifar100", "sample"), "no bundled sample"),
        (DataConfig("mnist", "full", "no/such/folder"), "must be a folder"),
        (DataConfig("mnist", "sample", None, 2001), "at most 2000"),
        (DataConfig("mnist", "sample", None, None, 501), "limit_test must be at most 500"),
    ],
)
def test_what_cannot_be_loaded_is_reported(config, words, offline, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=words):
        load(config)


def test_limits_take_the_first_images():
    few, all_of_them = (
        load(DataConfig("mnist", "sample", limit_train=n, limit_test=7)) for n in (5, None)
    )
    np.testing.assert_array_equal(few.train_images, all_of_them.train_images[:5])
    assert (len(few.train_labels), len(few.test_labels)) == (5, 7)
    assert few.fingerprint != all_of_them.fingerprint


def test_equal_data_have_equal_fingerprints():
    assert (
        load(DataConfig("mnist", "sample")).fingerprint
        == load(DataConfig("mnist", "sample")).fingerprint
    )


def blank(train=3, test=2, labels=None):
    """An image set of black images."""
    images = np.zeros((max(train, test), 28, 28, 1), np.uint8)
    train_labels = np.zeros(train if labels is None else labels, np.int32)
    return ImageSet(
        "mnist",
        "full",
        images[:train],
        train_labels,
        images[:test],
        train_labels[:test],
        SPECS["mnist"],
    )


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ({"train": 0, "labels": 2}, "has 0 training images and 2 labels"),
        (
            {"train": 0, "test": 0},
            "has no training images: 0 for training, 0 for test; change --classes, .*limit-train",
        ),
        (
            {"test": 0},
            (
                "has no test images: 3 for training, 0 for test; change --classes, --test-share or"
                " --limit-test"
            ),
        ),
        ({"labels": 4}, "has 3 training images and 4 labels"),
    ],
)
def test_an_image_set_has_images_to_train_and_to_test_on(sizes, words):
    assert len(blank().test_labels) == 2
    with pytest.raises(DataError, match=words):
        blank(**sizes)


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    """Settings for a folder of pictures that a test writes."""

    def write(each):
        monkeypatch.setitem(SPECS, "asl_alphabet", write_folders_set(tmp_path / "pictures", each))
        return DataConfig(dataset="asl_alphabet", data_dir=str(tmp_path / "pictures"), crop="none")

    return write


def test_a_set_of_one_image_a_class_has_none_to_test_on(pictures):
    with pytest.raises(
        DataError, match=r"asl_alphabet .full. has no test images: 3 for training, 0 for test"
    ):
        load(pictures(1), progress=False)
    with pytest.raises(DataError, match="2 for training, 0 for test"):
        load(dataclasses.replace(pictures(1), classes=2, test_share=0.9), progress=False)


def test_two_images_a_class_are_enough_whatever_the_share(pictures):
    config = pictures(2)
    for share in (1e-4, 0.5, 0.9999):
        data = load(dataclasses.replace(config, test_share=share), progress=False)
        assert (len(data.train_labels), len(data.test_labels)) == (3, 3)


def test_a_class_without_training_images_is_named(tmp_path, monkeypatch):
    arrays = np.zeros((4, 75, 75, 3), np.float32), np.ones(4, np.int32)
    monkeypatch.setattr(
        sys.modules["jaxode.data.loading"], "load_full", lambda *_, **__: {"whole": arrays}
    )
    with pytest.raises(DataError, match="iceberg has no training image of ship"):
        load(DataConfig(dataset="iceberg", data_dir=str(tmp_path), crop="none"))


def test_few_images_may_be_requested():
    data = load(DataConfig("mnist", "sample", limit_train=1, limit_test=1))
    assert (len(data.train_labels), len(data.test_labels)) == (1, 1)


def a_file(path):
    path.write_text("no folder")


def a_link_to_nothing(path):
    path.symlink_to("nowhere")


def a_fifo(path):
    os.mkfifo(path)


@pytest.mark.parametrize("make", [a_file, a_link_to_nothing, a_fifo])
@pytest.mark.parametrize("data", ["auto", "full"])
def test_a_data_dir_that_is_no_folder_is_named(tmp_path, make, data):
    make(tmp_path / "d")
    with pytest.raises(DataError, match=f"data_dir must be a folder, and {tmp_path / 'd'} is none"):
        load(DataConfig("mnist", data, str(tmp_path / "d")))


@pytest.mark.parametrize("name", ["x" * 300, "\0", "d/" * 3000])
def test_a_data_dir_that_cannot_be_is_one_line(name):
    with pytest.raises(ConfigError, match="data_dir must be a path"):
        DataConfig("mnist", "full", name)


@pytest.mark.parametrize("dataset", ["mnist", "cifar10", "iceberg", "asl_alphabet"])
def test_a_data_dir_that_may_not_be_read_is_one_line(tmp_path, monkeypatch, dataset):
    stat = os.stat

    def refused(path, *args, **kwargs):
        if str(path).startswith(str(tmp_path / "d") + "/"):
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, *args, **kwargs)

    (tmp_path / "d").mkdir()
    monkeypatch.setattr(os, "stat", refused)
    with pytest.raises(DataError, match=r"/d/.* cannot be read: Permission denied"):
        load(DataConfig(dataset, "auto", str(tmp_path / "d"), crop="none"))


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_a_default_folder_that_is_a_file_is_unavailable(tmp_path, monkeypatch, offline, name):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("JAXODE_DATA", str(tmp_path / name))
    with pytest.raises(DataError, match=r"there is no .*cannot be stored in .*: Not a directory"):
        load(DataConfig("mnist", "full"))
