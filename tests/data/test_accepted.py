"""Arrays and any iterable of batches are trained on and evaluated."""

from __future__ import annotations

import numpy as np
import pytest
from flax import nnx

from jaxode.checks import ConfigError
from jaxode.config import DataConfig, OptimConfig, RunConfig
from jaxode.data import ArrayDataset, as_dataset
from jaxode.data.accepted import examples_of
from jaxode.tasks import Regression
from jaxode.train import fit

X = np.linspace(-1, 1, 24, dtype=np.float32)[:, None]
LINE = {"input": X, "target": 2 * X}
CONFIG = RunConfig(
    data=DataConfig(dataset="a line"), epochs=2, batch_size=8, optim=OptimConfig(lr=0.1)
)


def batches():
    return [{name: array[n : n + 8] for name, array in LINE.items()} for n in (0, 8, 16)]


class Loader:
    """Begins anew each time, as loaders do, and has no length."""

    def __iter__(self):
        yield from batches()


def test_fit_takes_arrays_and_batches():
    model = nnx.Linear(1, 1, rngs=nnx.Rngs(0))
    arrays = fit(model, Regression(), {"train": LINE, "test": LINE}, CONFIG)
    same = fit(model, Regression(), ArrayDataset("arrays", LINE, LINE), CONFIG)
    assert arrays.result["test_rmse"] == same.result["test_rmse"]
    streamed = fit(model, Regression(), {"train": batches(), "test": LINE}, CONFIG)
    again = fit(model, Regression(), {"train": batches(), "test": batches()}, CONFIG)
    assert streamed.result["test_rmse"] == pytest.approx(again.result["test_rmse"], rel=1e-6)
    assert streamed.result["test_rmse"] < 0.5
    assert streamed.result["train_images"] == 24


def test_batches_are_counted_and_begin_anew():
    data = as_dataset({"train": Loader(), "test": LINE})
    stream = data.splits["train"]
    assert (stream.examples, stream.batches) == (24, 3)
    for epoch in (0, 1):
        assert [len(batch["input"]) for batch in stream.read(epoch)] == [8, 8, 8]
    weighted = [{**batch, "weight": np.r_[np.ones(5), np.zeros(3)]} for batch in batches()]
    assert as_dataset({"train": weighted, "test": LINE}).splits["train"].examples == 15


def test_the_fingerprint_changes_with_the_data():
    first, other = batches(), batches()
    assert as_dataset({"train": first, "test": LINE}).fingerprint == (
        as_dataset({"train": other, "test": LINE}).fingerprint
    )
    other[2] = {**other[2], "target": other[2]["target"] + 1}
    assert as_dataset({"train": first, "test": LINE}).fingerprint != (
        as_dataset({"train": other, "test": LINE}).fingerprint
    )


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"train": LINE}, r"validation, got \['train'\]"),
        (LINE, r"validation, got \['input', 'target'\]"),
        ([LINE], "mapping of train, test and, if there is one, validation, got list"),
        ({"train": iter(batches()), "test": LINE}, "gone through in every epoch, such as a list"),
        ({"train": 3, "test": LINE}, "arrays by name or an iterable of batches, got int"),
        ({"train": [X], "test": LINE}, "a pair of images and labels, got ndarray"),
        ({"train": [], "test": LINE}, "examples must be at least 1"),
    ],
)
def test_what_is_no_data_is_one_clear_line(data, message):
    with pytest.raises(ConfigError, match=message):
        as_dataset(data)


def test_no_batches_are_refused():
    with pytest.raises(ConfigError, match="at least one batch"):
        examples_of([])
