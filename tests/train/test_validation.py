"""A third split: evaluated after every epoch, and the one that the best checkpoint is chosen by."""

from __future__ import annotations

import numpy as np
import pytest
from flax import nnx
from stubs import without_pictures

from jaxode.checks import ConfigError
from jaxode.config import OptimConfig, RunConfig
from jaxode.data import ArrayDataset, as_dataset
from jaxode.tasks import Density, Regression
from jaxode.train import fit

CONFIG = RunConfig(
    epochs=6, batch_size=16, optim=OptimConfig("sgd", lr=0.2, momentum=0.0, schedule="constant")
)


class Normal(nnx.Module):
    """A normal distribution about a trained mean, 0 at first."""

    def __init__(self):
        self.mean = nnx.Param(np.zeros((), np.float32))

    def __call__(self, x):
        return -0.5 * (x[:, 0] - self.mean[...]) ** 2


def points(mean):
    return {"points": np.full((20, 1), mean, np.float32)}


DATA = ArrayDataset("line", points(2.0), points(2.0), validation=points(0.7))
"""Training leads from 0 past the mean of the validation split."""


@pytest.fixture(scope="module")
def found():
    return fit(Normal(), Density(monitor="validation_loss"), DATA, CONFIG)


def test_the_best_epoch_is_that_of_the_validation_split(found):
    losses = [line["validation_loss"] for line in found.history]
    assert found.result["best_epoch"] == 1 + int(np.argmin(losses))
    assert 1 <= found.result["best_epoch"] < len(losses)
    assert found.result["best_validation_loss"] == min(losses)
    assert [line["test_loss"] for line in found.history] != losses


def test_numbers_are_those_of_its_own_examples(found):
    mean = float(found.model.mean[...])
    last = found.history[-1]
    assert last["validation_loss"] == pytest.approx(0.5 * (0.7 - mean) ** 2, rel=1e-5)
    assert last["validation_log_likelihood"] == pytest.approx(-last["validation_loss"])
    assert last["test_loss"] == pytest.approx(0.5 * (2.0 - mean) ** 2, rel=1e-5)


def test_it_changes_neither_training_nor_test(found):
    without = fit(Normal(), Density(), ArrayDataset("line", DATA.train, DATA.test), CONFIG)
    names = ("loss", "test_loss", "train_log_likelihood")
    for one, other in zip(found.history, without.history, strict=True):
        assert [one[name] for name in names] == [other[name] for name in names]
        assert not any(name.startswith("validation") for name in other)


def test_a_streamed_feed_has_the_same_numbers(found):
    config = CONFIG.replaced(feed="streamed")
    streamed = fit(Normal(), Density(monitor="validation_loss"), DATA, config)
    assert [line["validation_loss"] for line in streamed.history] == [
        line["validation_loss"] for line in found.history
    ]


def test_a_run_in_a_directory_goes_on_with_it(tmp_path, monkeypatch, found):
    without_pictures(monkeypatch)
    task = Density(monitor="validation_loss")
    fit(Normal(), task, DATA, CONFIG.replaced(epochs=3), out=tmp_path / "run")
    more = fit(Normal(), task, DATA, CONFIG, out=tmp_path / "run", resume=True)
    assert more.history[-1]["validation_loss"] == found.history[-1]["validation_loss"]
    assert more.result["best_validation_loss"] == found.result["best_validation_loss"]


def test_a_monitor_of_a_split_that_is_not_there_is_refused():
    data = ArrayDataset("line", DATA.train, DATA.test)
    with pytest.raises(ConfigError, match="monitor must be of the test or training split"):
        fit(Normal(), Density(monitor="validation_loss"), data, CONFIG)


def test_other_data_are_another_fingerprint_and_other_arrays_are_refused():
    assert DATA.fingerprint != ArrayDataset("line", DATA.train, DATA.test).fingerprint
    with pytest.raises(ConfigError, match="validation must have the arrays of train"):
        ArrayDataset("line", DATA.train, DATA.test, validation={"other": np.zeros((3, 1))})


def test_mappings_may_have_it():
    x = np.linspace(-1, 1, 6, dtype=np.float32)[:, None]
    pairs = {"input": x, "target": 2 * x}
    held = {"input": x[:2], "target": x[:2]}
    arrays = as_dataset({"train": pairs, "test": pairs, "validation": held})
    batches = as_dataset({"train": [pairs], "test": pairs, "validation": [held]})
    assert len(arrays.splits["validation"]["input"]) == 2
    assert batches.splits["validation"].examples == 2
    line = fit(nnx.Linear(1, 1, rngs=nnx.Rngs(0)), Regression(), batches, CONFIG).history[0]
    assert line["validation_loss"] > 0
    with pytest.raises(ConfigError, match="if there is one, validation, got"):
        as_dataset({"train": pairs, "test": pairs, "held": held})
