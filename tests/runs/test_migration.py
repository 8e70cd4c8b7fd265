"""Runs of earlier versions are read, and go on."""

import json
import tarfile
from pathlib import Path

import pytest
from stubs import without_pictures

from jaxode.config.migration import SCHEMA
from jaxode.data import load
from jaxode.runs import read_config
from jaxode.train import run

WRITTEN = Path(__file__).parent / "written" / "0c9fd94.tar.xz"
"""One epoch of an ODENet of width 8 on 32 bundled MNIST images, by the version of 2026-11-22."""


@pytest.fixture
def old(tmp_path):
    with tarfile.open(WRITTEN) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path


def test_an_old_run_goes_on(old, monkeypatch):
    without_pictures(monkeypatch)
    before = json.loads((old / "result.json").read_text())
    config = read_config(old)
    assert (config.model.width, config.epochs, config.data.limit_train) == (8, 1, 32)
    data = load(config.data, progress=False)
    same = run(config, data, old)  # complete: its stored predictions are read, or made again
    for name in (
        "loss",
        "test_loss",
        "test_accuracy",
        "train_accuracy",
        "nfe_forward",
        "best_epoch",
    ):
        assert same[name] == before[name]
    assert same["classification"] == before["classification"]
    longer = run(config.replaced(epochs=2), data, old)
    assert longer["epochs"] == 2
    lines = [json.loads(line) for line in (old / "metrics.jsonl").read_text().splitlines()]
    assert lines[0]["loss"] == before["loss"]
    assert lines[1]["epoch"] == 2
    assert json.loads((old / "config.json").read_text())["schema"] == SCHEMA


def test_an_old_run_is_evaluated_as_it_was(old, monkeypatch):
    """The same numbers from the parameters of its checkpoint, on today's machine."""
    without_pictures(monkeypatch)
    before = json.loads((old / "result.json").read_text())
    (old / "images.npz").unlink()
    config = read_config(old)
    again = run(config, load(config.data, progress=False), old)
    assert again["classification"]["accuracy"] == before["classification"]["accuracy"]
