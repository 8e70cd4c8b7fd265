"""Runs and settings of earlier versions are read; those of later ones are refused."""

import json
import tarfile
from pathlib import Path

import pytest
from stubs import without_pictures

from jaxode.checks import ConfigError
from jaxode.config import DataConfig, RunConfig
from jaxode.config.keys import ALWAYS
from jaxode.data import load
from jaxode.runs import read_config
from jaxode.runs.migration import SCHEMA, migrated, stored
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


def test_settings_are_stored_with_their_schema():
    settings = RunConfig().to_json()
    assert stored(settings)["schema"] == SCHEMA
    assert RunConfig.from_json(migrated(json.loads(json.dumps(stored(settings))))) == RunConfig()


def test_the_first_config_json_is_still_read():
    every = RunConfig().to_json()
    first = {name: every[name] for name in ALWAYS[""]}
    for prefix, names in ALWAYS.items():
        if prefix:
            first[prefix[:-1]] = {name: every[prefix[:-1]][name] for name in names}
    assert RunConfig.from_json(migrated(first)) == RunConfig()


def test_an_empty_data_dir_of_an_earlier_version_is_none():
    settings = RunConfig().to_json()
    settings["data"]["data_dir"] = ""
    assert RunConfig.from_json(migrated(settings)).data.data_dir is None
    with pytest.raises(ConfigError, match="data_dir must be a text that is not empty"):
        DataConfig(data_dir="")
    with pytest.raises(ConfigError, match="data_dir must be a text that is not empty"):
        RunConfig.from_json(migrated(stored(settings)))


@pytest.mark.parametrize("schema", [0, SCHEMA + 1, "2", None, True, 2.0])
def test_a_schema_that_is_not_known_is_named(schema):
    with pytest.raises(ValueError, match=f"schema must be a whole number from 1 to {SCHEMA}"):
        migrated({**RunConfig().to_json(), "schema": schema})
