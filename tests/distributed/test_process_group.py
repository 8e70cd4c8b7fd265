"""Agreeing where there is one process, and what an error of one of several leads to."""

import threading

import pytest

from jaxode.checks import ConfigError
from jaxode.distributed import process_group as module
from jaxode.distributed.process_group import ProcessGroup
from jaxode.errors import RunFailed, Stopped


def test_one_process_agrees_with_itself():
    alone = ProcessGroup()
    assert alone.broadcast_from_main(lambda: {"a": 1}) == {"a": 1}
    assert alone.all_gather([3, 4]) == [[3, 4]]
    assert alone.main_first(lambda: None) is None
    alone.assert_equal("settings", {"a": (1, 2)})
    with pytest.raises(ZeroDivisionError):
        alone.broadcast_from_main(lambda: 1 / 0)


class Watch:
    """What a watchdog does for its cluster; `calls` are those that reach the other processes."""

    def __init__(self):
        self.lost, self.calls = threading.Event(), []

    def leave(self, reason):
        self.calls.append(("leave", reason))

    def close(self):
        self.calls.append(("close", ""))

    def abandon(self, reason):
        self.calls.append(("abandon", reason))
        return not self.lost.is_set()


class Ended(BaseException):
    """In place of the end of this process."""


@pytest.fixture
def cluster(monkeypatch):
    def end():
        raise Ended

    monkeypatch.setattr(module, "wait_to_be_ended", end)
    monkeypatch.setattr(module, "GRACE_SECONDS", 0.5)
    return ProcessGroup(1, 2, Watch())


def ended_by(cluster, error):
    """Leave the cluster with an error, and what came of it."""
    try:
        with cluster:
            raise error
    except BaseException as caught:
        return caught


@pytest.mark.parametrize("kind", [ValueError, RuntimeError, TypeError])
def test_whatever_jax_raises_when_another_process_is_lost_is_not_shown(cluster, kind):
    """The news may come after the error: Gloo and XLA raise errors of several types."""
    threading.Timer(0.1, cluster.watchdog.lost.set).start()
    assert isinstance(
        ended_by(cluster, kind("Gloo AllGather failed: Connection closed by peer")), Ended
    )


def test_an_error_without_a_loss_is_shown_and_the_others_are_notified(cluster):
    error = ValueError("two\nlines")
    assert ended_by(cluster, error) is error
    assert cluster.watchdog.calls == [("abandon", "process 1 has ended: two lines")]
    assert cluster.cut_off


@pytest.mark.parametrize(
    "error",
    [OSError("disk"), MemoryError("much"), RuntimeError("RESOURCE_EXHAUSTED: Out of memory")],
)
def test_an_error_of_its_own_waits_for_no_news(cluster, monkeypatch, error):
    monkeypatch.setattr(module, "GRACE_SECONDS", 60)
    assert ended_by(cluster, error) is error
    assert cluster.cut_off


def test_a_loss_that_comes_while_an_error_is_reported_goes_first(cluster):
    cluster.watchdog.lost.set()
    assert isinstance(ended_by(cluster, OSError("disk")), Ended)


@pytest.mark.parametrize("error", [ConfigError("no"), RunFailed("not finite")])
def test_errors_that_all_come_to_end_in_order_with_their_reason(cluster, error):
    assert ended_by(cluster, error) is error
    assert cluster.watchdog.calls == [("leave", str(error)), ("close", "")]
    assert not cluster.cut_off


def test_an_error_of_process_0_that_all_received_is_an_end_in_order(cluster, monkeypatch):
    cluster.index = 0
    monkeypatch.setattr(ProcessGroup, "broadcast_arrays", lambda self, tree: tree)

    def work():
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"), cluster:
        cluster.broadcast_from_main(work)
    assert cluster.watchdog.calls == [("leave", "disk"), ("close", "")]


def test_a_loss_ends_the_process_with_one_line_even_if_its_last_actions_fail_or_hang(
    cluster, monkeypatch, caplog
):
    codes, done = [], []
    monkeypatch.setattr(module.os, "_exit", codes.append)
    monkeypatch.setattr(module, "LAST_SECONDS", 0.2)
    stop = threading.Event()
    cluster.on_process_lost += [
        lambda *loss: 1 / 0,
        lambda *loss: done.append(loss),
        lambda *loss: stop.wait(60),
    ]
    cluster.end_process(0, "process 0 has died")
    stop.set()
    line = "error: process 0 has died: go on with --resume, with as many processes as there are"
    assert [record.getMessage() for record in caplog.records] == [line]
    assert (codes, done) == ([1], [(0, "process 0 has died")])


@pytest.mark.parametrize(
    "error", [ValueError("of JAX"), MemoryError("much"), OSError("disk"), RunFailed("not finite")]
)
@pytest.mark.parametrize("several", [False, True])
def test_no_error_leaves_a_result_that_says_running(cluster, monkeypatch, several, error):
    monkeypatch.setattr(module, "GRACE_SECONDS", 0)
    cluster, done = cluster if several else ProcessGroup(1), []
    cluster.on_process_lost.append(lambda *loss: done.append(loss))
    assert ended_by(cluster, error) is error
    assert done == [(1, str(error))]
    assert cluster.cut_off is (several and not isinstance(error, RunFailed))


def test_a_stop_by_a_signal_is_no_failure(cluster):
    cluster.on_process_lost.append(lambda *loss: 1 / 0)
    error = Stopped(15)
    assert ended_by(cluster, error) is error
    assert not cluster.cut_off
