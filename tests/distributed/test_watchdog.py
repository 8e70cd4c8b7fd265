"""The connections that report a death: what each process receives, and when nobody is to receive
anything.
"""

import queue
import secrets
import socket
import threading
import time

import pytest

from jaxode.distributed import watchdog
from jaxode.distributed.channel import CLIENT, SERVER, Channel
from jaxode.distributed.watchdog import Watchdog


def pair():
    """Two ends of a connection."""
    key = secrets.token_bytes(32)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
    return Channel(server, key, SERVER), Channel(client, key, CLIENT)


@pytest.fixture
def three():
    """Watchdogs of three processes, and what each hears of a loss."""
    losses = [queue.Queue() for _ in range(3)]
    (to_one, one), (to_two, two) = pair(), pair()
    ends = [{1: to_one, 2: to_two}, {0: one}, {0: two}]
    dogs = [Watchdog(i, ends[i], lambda *loss, box=losses[i]: box.put(loss)) for i in range(3)]
    yield dogs, losses
    for dog in dogs:
        dog.leaving.set()
        dog.close()
        for channel in dog.channels.values():
            channel.close()
    for thread in threading.enumerate():
        if thread.name.startswith(("watch ", "leave ", "heartbeat")):
            thread.join(10)
            assert not thread.is_alive()


def test_a_death_is_reported_to_all_with_its_number(three):
    dogs, losses = three
    dogs[2].channels[0].connection.shutdown(
        socket.SHUT_RDWR
    )  # without a word, as the system does for a dead process
    assert losses[0].get(timeout=10) == (2, "process 2 has died")
    assert losses[1].get(timeout=10) == (2, "process 2 has died")


def test_the_death_of_process_0_is_heard():
    dead, own = pair()
    losses = queue.Queue()
    dog = Watchdog(1, {0: own}, lambda *loss: losses.put(loss))
    dead.close()
    assert losses.get(timeout=10) == (0, "process 0 has died")
    assert dog.lost.is_set()
    own.close()


def test_a_reason_is_reported_in_place_of_a_death(three):
    dogs, losses = three
    assert dogs[1].abandon("process 1 has ended: no such file")
    assert (
        losses[0].get(timeout=10)
        == losses[2].get(timeout=10)
        == (1, "process 1 has ended: no such file")
    )
    assert losses[1].empty()
    assert not dogs[0].abandon("late")  # the loss came first, and is being acted on
    assert not dogs[1].abandon("twice")


def test_leaving_in_order_is_no_loss(three):
    dogs, losses = three
    for dog in dogs:
        dog.leave()
    for dog in dogs:
        dog.close()
    for thread in threading.enumerate():
        if thread.name.startswith("watch "):
            thread.join(10)
            assert not thread.is_alive()
    assert all(box.empty() for box in losses)


def test_a_death_between_leaving_and_the_end_is_noticed(three):
    """While JAX waits for all processes before it ends."""
    dogs, losses = three
    for dog in dogs:
        dog.leave()
    dogs[1].channels[0].connection.shutdown(socket.SHUT_RDWR)
    assert losses[0].get(timeout=10) == (1, "process 1 has died")


def test_one_that_leaves_alone_is_a_loss(three, monkeypatch):
    dogs, losses = three
    monkeypatch.setattr(watchdog, "LEAVE_SECONDS", 0.2)
    dogs[1].leave("tensorboardX is not installed")
    for box in losses:
        assert box.get(timeout=10) == (1, "process 1 has ended: tensorboardX is not installed")


def test_a_process_that_hangs_is_noticed(monkeypatch):
    """Its connection is open and says nothing; one that is alive says so."""
    monkeypatch.setattr(watchdog, "SILENCE_SECONDS", 0.5)
    monkeypatch.setattr(watchdog, "HEARTBEAT_SECONDS", 0.05)
    losses, (to_one, one), (to_two, two) = queue.Queue(), pair(), pair()
    alive = Watchdog(2, {0: two}, lambda *loss: None)
    begin = time.monotonic()
    dog = Watchdog(0, {1: to_one, 2: to_two}, lambda *loss: losses.put(loss))
    assert losses.get(timeout=10) == (1, "process 1 has not answered for 0.5 s")
    assert time.monotonic() - begin >= 0.5
    assert alive.lost.wait(10)  # it was told
    for channel in (*dog.channels.values(), *alive.channels.values(), one):
        channel.close()


def test_a_line_that_was_altered_is_a_loss(three):
    """Whoever can write into the connection without the key brings nothing in but its end."""
    dogs, losses = three
    dogs[1].channels[0].connection.sendall(b"0" * 64 + b' {"lost": "all", "process": 1}\n')
    assert losses[0].get(timeout=10) == (1, "process 1 has died")


def test_a_connection_that_another_thread_has_closed_has_ended():
    one, other = pair()
    one.close()
    with pytest.raises(ConnectionError, match="closed by another thread"):
        one.receive(time.monotonic() + 5)
    other.close()
