"""Resident and streamed: with the same order both feeds end with the same bits."""

import dataclasses
import json
import threading
from functools import partial
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from flax import nnx
from runs import OneRow, StopAt, digests, go, lines
from stubs import image_set, run_config

from jaxode.checks import ConfigError
from jaxode.config import DataConfig, ParallelConfig, RunConfig
from jaxode.data import BatchStream, StreamedDataset
from jaxode.data.batches import epoch_order
from jaxode.distributed.mesh import DeviceMesh
from jaxode.errors import RunFailed, Stopped
from jaxode.runs import predictions
from jaxode.tasks import Classification, Regression
from jaxode.train import fit, run
from jaxode.train.feed_choice import choose_feed
from jaxode.train.resident_feed import ResidentFeed
from jaxode.train.streamed_feed import StreamedFeed

pytestmark = pytest.mark.usefixtures("undrawn")


def fed(config, feed):
    return dataclasses.replace(config, data=dataclasses.replace(config.data, feed=feed))


SMALL = RunConfig(data=DataConfig(dataset="mnist", data="full"), epochs=2, batch_size=16).replaced(
    lr=0.05, schedule="constant"
)

CONFIGS = {
    "mlp": SMALL.replaced(model="mlp", optimizer="adam", lr=0.001),
    "odenet, tape": SMALL.replaced(width=8, rtol=1e-2, atol=1e-2),
    "accumulate": SMALL.replaced(model="mlp", accumulate=2),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_both_feeds_end_with_the_same_bits(tmp_path, name):
    outs = {}
    for feed in ("resident", "streamed"):
        out = outs[feed] = tmp_path / feed
        out.mkdir()
        run(fed(CONFIGS[name], feed), image_set(train=40, test=20), out)
        assert json.loads((out / "config.json").read_text())["data"]["feed"] == feed
    resident, streamed = outs.values()
    assert len(lines(resident)) == 2
    assert lines(streamed) == lines(resident)
    assert digests(streamed) == digests(resident)
    task = Classification(10)
    one, other = (predictions.load(out, 2, task) for out in (resident, streamed))
    assert one.keys() == other.keys()
    for array in one:
        np.testing.assert_array_equal(one[array], other[array])


@pytest.mark.parametrize(
    ("advances", "feed"), [(1, "streamed"), (4, "resident"), (7, "resident"), (20, "streamed")]
)
def test_a_stop_anywhere_and_a_resume_change_no_bit(whole, tmp_path, advances, feed):
    """5 chunks of training, 5 and 2 of evaluation an epoch: the stops fall into all of them.

    What a streamed feed began goes on with either.
    """
    first, second = (fed(run_config(), name) for name in ("streamed", feed))
    out = tmp_path / "run"
    with pytest.raises(Stopped):
        go(out, first, progress=StopAt(advances), pace=OneRow())
    assert not [t for t in threading.enumerate() if t.name.startswith("jaxode-prefetch")]
    assert go(out, second)["status"] == "complete"
    assert lines(out) == lines(whole[0])
    last = max(digests(whole[0]))
    assert digests(out)[last] == digests(whole[0])[last]


IMAGES = image_set()


class StreamedImages(StreamedDataset):
    """Streams of the images of `image_set`, in the order of the resident feed."""

    def views(self, config):
        return IMAGES.views(config)

    def model_options(self, config):
        return IMAGES.model_options(config)


def streamed_images(read=None, **changes):
    """Both splits are streams, whose last batch is short."""
    train, test = IMAGES.splits["train"], IMAGES.splits["test"]

    def shuffled(epoch):
        _, run_key = jax.random.split(jax.random.key(0))
        key = jax.random.fold_in(jax.random.fold_in(run_key, epoch), 5)
        order = np.asarray(epoch_order(key, 70, 16)[0]).ravel()[:70]
        return rows(train, order)

    def rows(split, order):
        for start in range(0, len(order), 16):
            chosen = order[start : start + 16]
            yield {name: array[chosen] for name, array in split.items()}

    return StreamedImages(
        "mnist",
        BatchStream(read or shuffled, examples=70, batches=5),
        BatchStream(lambda epoch: rows(test, np.arange(23)), examples=23, batches=2),
        fingerprint="images",
        spec=IMAGES.spec,
    )


def test_streams_of_the_same_order_end_with_the_same_bits(whole, tmp_path):
    """But for the training images' evaluation, whose order is that of the stream."""
    expected, result = whole
    config = fed(run_config(), "auto")
    mine = go(tmp_path / "run", config, data=streamed_images())
    assert mine["data_fingerprint"] == "images"
    assert (mine["train_images"], mine["test_images"]) == (70, 23)
    assert digests(tmp_path / "run") == digests(expected)
    for one, other in zip(lines(tmp_path / "run"), lines(expected), strict=True):
        assert one.pop("train_loss") == pytest.approx(other.pop("train_loss"), rel=1e-6)
        assert one == other
    assert mine["classification"] == result["classification"]


def test_a_stream_goes_on_in_the_middle_of_an_epoch(whole, tmp_path):
    out, config = tmp_path / "run", fed(run_config(), "streamed")
    with pytest.raises(Stopped):
        go(out, config, data=streamed_images(), progress=StopAt(3), pace=OneRow())
    go(out, config, data=streamed_images())
    last = max(digests(whole[0]))
    assert digests(out)[last] == digests(whole[0])[last]


def test_a_stream_that_is_not_as_announced_fails_the_run_and_says_where(tmp_path):
    def short(epoch):
        batches = list(streamed_images().train.read(epoch))
        return batches[:4] if epoch else batches

    data = streamed_images(read=short)
    with pytest.raises(
        RunFailed, match=r"^epoch 2: a stream must have 5 batches an epoch, found 4"
    ):
        go(tmp_path / "run", fed(run_config(), "streamed"), data=data)
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert (result["status"], result["epochs"]) == ("failed", 1)


def test_a_failure_in_a_streamed_pass_is_named_as_in_a_resident_one(tmp_path):
    data, messages = image_set(poisoned=(40,)), []
    for feed in ("resident", "streamed"):
        with pytest.raises(RunFailed) as caught:
            go(tmp_path / feed, fed(run_config(), feed), data=data, fail="nan")
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
    assert "epoch 1, step" in messages[0]


def test_any_task_learns_from_a_stream():
    x = np.linspace(-1, 1, 32, dtype=np.float32)[:, None]
    halves = [{"input": x[:16], "target": 2 * x[:16]}, {"input": x[16:], "target": 2 * x[16:]}]
    stream = BatchStream(lambda epoch: halves, examples=32, batches=2)
    data = StreamedDataset("a line", stream, {"input": x, "target": 2 * x}, fingerprint="")
    config = RunConfig(data=DataConfig(feed="streamed"), epochs=60, batch_size=16)
    found = fit(nnx.Linear(1, 1, rngs=nnx.Rngs(0)), Regression(), data, config)
    assert found.result["test_rmse"] < 0.05


def chosen(feed, data, mesh=None):
    """The feed of a run."""
    config = fed(run_config(), feed)
    return type(choose_feed(config, data, mesh or DeviceMesh(config.parallel)))


def test_the_feed_is_chosen_by_its_name_and_by_the_data():
    assert chosen("resident", IMAGES) is ResidentFeed
    assert chosen("streamed", IMAGES) is StreamedFeed
    assert chosen("auto", IMAGES) is ResidentFeed
    assert chosen("auto", streamed_images()) is StreamedFeed
    with pytest.raises(ConfigError, match=r"feed must be streamed or auto for mnist, .* a stream"):
        chosen("resident", streamed_images())


def test_streams_are_not_given_to_several_processes(monkeypatch):
    mesh = DeviceMesh(ParallelConfig())
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    assert chosen("resident", IMAGES, mesh) is ResidentFeed
    with pytest.raises(ConfigError, match="feed must be resident for several processes, got 'str"):
        chosen("streamed", IMAGES, mesh)


def test_arrays_that_take_more_than_half_of_the_device_are_streamed(monkeypatch):
    mesh = DeviceMesh(ParallelConfig())
    size = sum(a.nbytes for split in IMAGES.splits.values() for a in split.values())
    for limit, kind in ((2 * size, ResidentFeed), (2 * size - 1, StreamedFeed)):
        device = SimpleNamespace(memory_stats=partial(dict, bytes_limit=limit))
        monkeypatch.setattr(jax, "local_devices", lambda device=device: [device])
        assert chosen("auto", IMAGES, mesh) is kind


def test_splits_of_other_arrays_are_refused():
    test = {"image": IMAGES.test_images.astype(np.float32), "label": IMAGES.test_labels}
    data = dataclasses.replace(streamed_images(), test=test)
    with pytest.raises(ConfigError, match=r"test must have .*uint8\[28, 28, 1\].*, got .*float32"):
        chosen("streamed", data)
