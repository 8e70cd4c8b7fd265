"""Asking for several processes, agreeing where there is one, and the connection that tells of a death."""

import queue
import socket
import threading

import pytest

from jaxode.checks import ConfigError
from jaxode.train.cluster import SEVERAL, Cluster, wanted
from jaxode.train.lifeline import KEY_BYTES, NUMBER_BYTES, Door, Lifeline, knock


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch):
    for name in SEVERAL:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ((None, 2, None), "belong together: coordinator is missing"),
        (("host:1", 2, None), "belong together: process_id is missing"),
        (("host", 2, 0), "coordinator must be HOST:PORT of process 0, got 'host'"),
        (("host:1", 0, 0), "processes must be at least 1, got 0"),
        (("host:1", 2, 2), r"process_id must be in 0, ..., 1, got 2"),
    ],
)
def test_half_a_request_is_refused(asked, message):
    with pytest.raises(ConfigError, match=message):
        wanted(*asked)


def test_several_processes_are_wanted_by_flags_or_by_a_launcher(monkeypatch):
    assert wanted("host:1", 2, 1)
    assert not wanted("host:1", 1, 0)
    assert not wanted(None, None, None)
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "1")
    assert not wanted(None, None, None)
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "4")
    assert wanted(None, None, None)


def test_one_process_agrees_with_itself():
    alone = Cluster()
    assert alone.told(lambda: {"a": 1}) == {"a": 1}
    assert alone.gathered([3, 4]) == [[3, 4]]
    assert alone.in_turn(lambda: None) is None
    alone.alike("settings", {"a": (1, 2)})
    with pytest.raises(ZeroDivisionError):
        alone.told(lambda: 1 / 0)


@pytest.fixture
def three():
    """Lifelines of three processes, and what each hears of a loss."""
    door, heard = Door(), [queue.Queue() for _ in range(3)]
    with socket.create_connection(("localhost", door.port)) as stranger:
        stranger.sendall(bytes(KEY_BYTES + NUMBER_BYTES))
        ends = [knock("localhost", door.port, door.key, number) for number in (1, 2)]
        ends.insert(0, door.admit(2))
    lines = [Lifeline(each, box.put) for each, box in zip(ends, heard, strict=True)]
    yield lines, heard
    for line in lines:
        line.leave()
    for thread in threading.enumerate():
        if thread.name.endswith("(_watch)"):
            thread.join(10)
    for line in lines:
        for connection in line.connections.values():
            connection.close()


def test_a_death_is_told_to_all_with_its_number(three):
    lines, heard = three
    lines[2].connections[0].shutdown(socket.SHUT_RDWR)  # without a word, as the system does it for a dead process
    assert heard[0].get(timeout=10) == "process 2 has died"
    assert heard[1].get(timeout=10) == "process 2 has died"


def test_a_reason_is_told_in_place_of_a_death(three):
    lines, heard = three
    lines[1].leave("process 1 has ended: no such file")
    assert heard[0].get(timeout=10) == heard[2].get(timeout=10) == "process 1 has ended: no such file"
    assert heard[1].empty()


def test_leaving_in_order_is_no_loss(three):
    lines, heard = three
    for line in lines:
        line.leave()
    for thread in threading.enumerate():
        if thread.name.endswith("(_watch)"):
            thread.join(10)
            assert not thread.is_alive()
    assert all(box.empty() for box in heard)
