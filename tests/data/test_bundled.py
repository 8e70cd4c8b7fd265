"""A bundled sample is the one that was published, or named."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from jaxode.config import DataConfig
from jaxode.data import SPECS, DataError, bundled, load


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """The path of a copy of the smallest sample, which is read in its place."""
    monkeypatch.setattr(bundled, "FOLDER", tmp_path)
    return Path(shutil.copy(Path(bundled.__file__).parent / "samples" / "mnist.npz", tmp_path))


def missing(path):
    path.unlink()


def truncated(path):
    path.write_bytes(path.read_bytes()[:-1000])


def empty(path):
    path.write_bytes(b"")


def flipped(path):
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)


def other(path):
    arrays = {f"{split}_images": np.zeros((10, 28, 28, 1), np.uint8) for split in ("train", "test")}
    np.savez(path, **arrays, train_labels=np.arange(10), test_labels=np.arange(10))


def folder(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("damage", [missing, truncated, empty, flipped, other, folder])
def test_a_damaged_sample_is_named(copied, damage):
    damage(copied)
    words = f"the bundled sample {copied} .*install jaxode again"
    with pytest.raises(DataError, match=words) as error:
        load(DataConfig(dataset="mnist", data="sample"))
    assert "\n" not in str(error.value)


def test_every_sample_has_a_checksum():
    files = {path.stem for path in (Path(bundled.__file__).parent / "samples").glob("*.npz")}
    assert files == {name for name, spec in SPECS.items() if spec.sampled}
    for name in files:
        assert len(bundled.read_sample(SPECS[name])[0][1]) == 2000
