"""From a DataConfig to arrays: every route, and every way it can fail, ends in arrays or in one clear line."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from files import write_cifar_set, write_idx_set

from jaxode.config import DataConfig
from jaxode.data import SPECS, DataError, load, originals
from jaxode.data.full import Unavailable, load_full, parse_files


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
    expected = parse_files(spec, originals.read(spec, originals.find(spec, tmp_path)))
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


def test_an_interrupted_preparation_is_not_taken_for_a_set(tmp_path, monkeypatch):
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
        originals.read(
            dataclasses.replace(spec, test_files=(dataclasses.replace(spec.test_files[0], name="other.bin"),)),
            originals.find(spec, tmp_path),
        )


def test_files_that_are_missing_are_named(tmp_path):
    spec = write_idx_set(tmp_path, url="http://127.0.0.1:9/")
    (tmp_path / "t10k-images-idx3-ubyte.gz").unlink()
    with pytest.raises(Unavailable, match=r"lacks t10k-images-idx3-ubyte\.gz of the 4 files.*cannot be reached"):
        _full(spec, tmp_path)


def test_the_folder_named_after_the_set_comes_first(tmp_path):
    write_idx_set(tmp_path, train=10)  # the files of another set, under the same names
    spec = write_idx_set(tmp_path / "mnist")
    assert len(_full(spec, tmp_path)[0]) == 30


def test_a_folder_that_cannot_be_written_is_unavailable(tmp_path):
    spec = write_idx_set(tmp_path / "elsewhere", url="http://127.0.0.1:9/")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(Unavailable, match="cannot be stored"):
        load_full(spec, tmp_path / "file" / "cache", progress=False)


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


def test_no_network_and_no_files_is_unavailable(tmp_path):
    spec = write_idx_set(tmp_path / "elsewhere", url="http://127.0.0.1:9/")
    with pytest.raises(Unavailable, match=r"there is no train-images.*cannot be reached"):
        load_full(spec, tmp_path / "empty", progress=False)


@pytest.fixture
def offline(monkeypatch):
    """Every address is one that nobody answers."""
    for name, spec in list(SPECS.items()):
        files = tuple(dataclasses.replace(file, url="http://127.0.0.1:9/") for file in spec.train_files)
        archive = spec.archive and dataclasses.replace(spec.archive, url="http://127.0.0.1:9/")
        monkeypatch.setitem(SPECS, name, dataclasses.replace(spec, train_files=files, archive=archive))


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
def test_what_cannot_be_had_is_said(config, words, offline, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=words):
        load(config)


def test_limits_take_the_first_images():
    few, all_of_them = (load(DataConfig("mnist", "sample", limit_train=n, limit_test=7)) for n in (5, None))
    np.testing.assert_array_equal(few.train_images, all_of_them.train_images[:5])
    assert (len(few.train_labels), len(few.test_labels)) == (5, 7)
    assert few.fingerprint != all_of_them.fingerprint


def test_equal_data_have_equal_fingerprints():
    assert load(DataConfig("mnist", "sample")).fingerprint == load(DataConfig("mnist", "sample")).fingerprint
