"""Batches of streams, and the thread that prepares them."""

import threading
import time

import numpy as np
import pytest

from jaxode.checks import ConfigError
from jaxode.data import BatchStream, DataError, StreamedDataset
from jaxode.data.batches import sequential_order
from jaxode.data.prefetch import AHEAD, Prefetch
from jaxode.data.streaming import array_batches, count_of, in_memory, stream_batches

X = np.arange(10, dtype=np.float32)[:, None]
BATCHES = [{"x": X[:4]}, {"x": X[4:8]}, {"x": X[8:]}]
STREAM = BatchStream(lambda epoch: BATCHES, examples=10, batches=3)


def test_a_stream_has_the_batches_that_arrays_have_in_that_order():
    indices, weights = (np.asarray(each) for each in sequential_order(10, 4))
    for start in range(4):
        streamed = list(stream_batches(STREAM, 0, 4, start))
        arrays = list(array_batches({"x": X}, indices, weights, start))
        assert len(streamed) == len(arrays) == 3 - start
        for one, other in zip(streamed, arrays, strict=True):
            np.testing.assert_array_equal(one.examples["x"], other.examples["x"])
            np.testing.assert_array_equal(one.weights, other.weights)
            assert one.weights.dtype == other.weights.dtype


def test_weights_of_a_stream_are_kept_and_a_small_split_is_repeated():
    stream = BatchStream(lambda epoch: [{"x": X[:2], "weight": [1, 0]}], examples=1, batches=1)
    (batch,) = stream_batches(stream, 0, 5)
    assert batch.weights.tolist() == [1, 0, 0, 0, 0]
    assert batch.examples["x"].ravel().tolist() == [0, 1, 0, 1, 0]
    assert in_memory(stream)["x"].tolist() == [[0]]
    assert count_of(stream) == 1


def test_a_stream_may_use_its_memory_again():
    memory = np.zeros((4, 1), np.float32)

    def read(epoch):
        for number in range(3):
            memory[:] = number
            yield {"x": memory}

    batches = list(stream_batches(BatchStream(read, 12, 3), 0, 4))
    assert [batch.examples["x"][0, 0] for batch in batches] == [0, 1, 2]


@pytest.mark.parametrize(
    ("batches", "words"),
    [
        (BATCHES[:2], "must have 3 batches an epoch, found 2"),
        ([*BATCHES, BATCHES[0]], "must have 3 batches an epoch, found more"),
        ([{"x": X}], "batch 0 of a stream must have arrays of one length from 1 to 4"),
        ([{"x": X[:0]}], "batch 0 of a stream must have arrays of one length from 1 to 4"),
        ([{"x": X[:4], "y": X[:3]}], "batch 0 of a stream must have arrays of one length"),
        ([{"x": X[:4], "weight": X[:3, 0]}], "batch 0 of a stream must have arrays of one length"),
        ([BATCHES[0], {"y": X[:4]}], "batch 1 of a stream must have the arrays of batch 0"),
        ([BATCHES[0], {"x": X[:4].astype(int)}], r"\{'x': 'float32\[1\]'\}, found \{'x': 'int64"),
        ([{}], "batch 0 of a stream must have arrays"),
    ],
)
def test_what_is_not_as_announced_is_named(batches, words):
    with pytest.raises(DataError, match=words):
        list(stream_batches(BatchStream(lambda epoch: batches, 10, 3), 0, 4))


def test_a_stream_has_examples():
    with pytest.raises(ConfigError, match="examples must be at least 1, got 0"):
        BatchStream(lambda epoch: [], 0, 1)
    with pytest.raises(ConfigError, match="batches must be at least 1, got 0"):
        BatchStream(lambda epoch: [], 1, 0)


def test_a_streamed_data_set_has_both_splits():
    data = StreamedDataset("line", STREAM, {"x": X}, fingerprint="10 points")
    assert count_of(data.splits["train"]) == count_of(data.splits["test"]) == 10
    np.testing.assert_array_equal(in_memory(data.splits["train"])["x"], X)


def eventually(condition):
    """Whether a condition becomes true within some seconds."""
    for _ in range(500):
        if condition():
            return True
        time.sleep(0.01)
    return False


def test_two_items_are_prepared_ahead_and_no_more():
    begun, may_go_on = [], threading.Semaphore(0)

    def place(item):
        begun.append(item)
        may_go_on.acquire()
        return item * 10

    with Prefetch(iter(range(5)), place) as items:
        may_go_on.release(AHEAD)
        assert eventually(lambda: begun == [0, 1])  # nothing has been asked for
        assert next(items) == 0
        assert eventually(lambda: begun == [0, 1, 2])
        may_go_on.release(9)
        assert list(items) == [10, 20, 30, 40]


def test_an_error_is_raised_where_its_item_would_be_and_the_thread_ends():
    def broken():
        yield 1
        raise OSError("the disk is gone")

    before = threading.active_count()
    with Prefetch(broken(), lambda item: item) as items:
        assert next(items) == 1
        with pytest.raises(OSError, match="the disk is gone"):
            next(items)
    assert threading.active_count() == before


def test_a_pass_that_is_given_up_ends_the_thread():
    before = threading.active_count()
    items = Prefetch(iter(range(1000)), lambda item: item)
    next(items)
    items.close()
    assert threading.active_count() == before
