"""The rendezvous at process 0's address: what it accepts, that nobody delays it, and the line of
each that fails.
"""

import contextlib
import json
import secrets
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from jaxode.distributed import channel, rendezvous, rendezvous_client
from jaxode.distributed.channel import CLIENT, PROTOCOL, WrongProtocol, digest, greet
from jaxode.distributed.connections import listen, resolved
from jaxode.distributed.membership import Membership
from jaxode.distributed.rendezvous import Rendezvous
from jaxode.distributed.rendezvous_client import RendezvousClient
from jaxode.distributed.timeout import Timeout
from jaxode.errors import RunFailed

SECRET = secrets.token_bytes(32)
NOW = Timeout.after(0)


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.fixture
def meet():
    """Starts processes of a run as threads, which return their connections; all are closed at
    the end.
    """
    port, futures, rendezvous = free_port(), {}, []
    pool = ThreadPoolExecutor(16)

    def begin(index, count=2, *, secret=SECRET, program="1.0", seconds=10.0, name=None):
        member, timeout = Membership("127.0.0.1", port, index, count), Timeout.after(seconds)

        if index == 0:
            rendezvous.append(Rendezvous(listen(member, timeout), member, program, secret))
            future = pool.submit(rendezvous[0].accept, timeout)
        else:
            known = secret if callable(secret) else lambda: secret
            future = pool.submit(RendezvousClient(member, program, known, timeout).connect)
        futures[name or index] = future
        return future

    def wait_for(*numbers):
        """Until process 0 has accepted these."""
        end = time.monotonic() + 10
        while not set(numbers) <= set(rendezvous[0].connections.coordination):
            assert time.monotonic() < end
            time.sleep(0.01)

    begin.port, begin.wait_for, begin.rendezvous = port, wait_for, rendezvous
    yield begin
    for future in futures.values():
        if not future.exception(20):
            future.result().close()
    pool.shutdown()


def stranger(port):
    """A connection of one who need not belong to the run; waits until somebody listens."""
    end = time.monotonic() + 10
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), 10)
        except ConnectionRefusedError:
            assert time.monotonic() < end
            time.sleep(0.01)


def line_of(future):
    """The one line with which a rendezvous fails."""
    error = future.exception(20)
    assert isinstance(error, RunFailed), error
    assert len(str(error).splitlines()) == 1
    return str(error)


def test_processes_meet_whoever_comes_first_and_nobody_listens_any_more(meet):
    others = [meet(1, 3)]
    time.sleep(0.3)
    others += [meet(2, 3)]
    first = meet(0, 3).result(10)
    assert set(first.channels) == set(first.coordination) == {1, 2}
    assert first.address == others[0].result(10).address == "127.0.0.1"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", meet.port), 1)
    channels = others[0].result().channels[0], first.channels[1]
    for one, other in (channels, channels[::-1]):
        one.send({"number": 1})
        one.send({"number": 2})
        assert [other.receive(time.monotonic() + 5)["number"] for _ in range(2)] == [1, 2]


def test_it_listens_at_the_coordinator_s_address_alone():
    member = Membership("127.0.0.1", free_port(), 0, 2)
    with listen(member, NOW) as listener:
        assert listener.getsockname() == ("127.0.0.1", member.port)
        with pytest.raises(
            RunFailed, match=r"cannot listen at .*: Address already in use: HOST must be"
        ):
            listen(member, NOW)  # a second process 0
    with pytest.raises(
        RunFailed, match=r"cannot listen at .*: Cannot assign requested address: HOST must be"
    ):
        listen(Membership("203.0.113.1", member.port, 0, 2), NOW)
    for every in ("0.0.0.0", "::"):
        with pytest.raises(RunFailed, match="means every address"):
            listen(Membership(every, member.port, 0, 2), NOW)


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 64 + ".example", "999.1.1.1"])
@pytest.mark.parametrize("index", [0, 1])
def test_a_host_that_cannot_be_resolved_is_one_line(host, index):
    member, begin = Membership(host, 5000, index, 2), time.monotonic()
    with pytest.raises(RunFailed, match=r"cannot resolve .*, the machine of process 0: ") as caught:
        resolved(member, Timeout.after(0.3))
    assert len(str(caught.value).splitlines()) == 1
    assert time.monotonic() - begin < 30  # the system's resolver has timeouts of its own


def test_strangers_who_say_nothing_or_anything_delay_nobody(meet, monkeypatch):
    """200 who are silent, more than are waited for at a time, and some of every other kind."""
    monkeypatch.setattr(rendezvous, "MOST_PENDING", 32)
    first = meet(0)
    silent = [stranger(meet.port) for _ in range(200)]
    talkers = []
    for words in (
        b"GET / HTTP/1.1\r\n\r\n",
        b"\n",
        b"\xff" * 100_000,
        b"a b c\n",
        b"a b {}\n",
        PROTOCOL,
        b"a" * 4096 + b"\n",
    ):
        talkers.append(stranger(meet.port))
        with contextlib.suppress(OSError):  # sent away while still talking
            talkers[-1].sendall(words)
    assert len(meet.rendezvous[0].pending) <= 32
    begin = time.monotonic()
    meet(1).result(10)
    assert set(first.result(10).channels) == {1}
    assert time.monotonic() - begin < 5
    for connection in (*silent, *talkers):
        connection.close()


def test_one_who_takes_too_long_is_sent_away(meet, monkeypatch):
    monkeypatch.setattr(rendezvous, "AUTHENTICATION_SECONDS", 0.2)
    meet(0, seconds=3)
    with stranger(meet.port) as slow:
        assert slow.recv(1000).startswith(PROTOCOL)
        slow.sendall(b"a")
        assert slow.recv(1000) == b""
    meet(1).result(10)


def test_a_greeting_that_was_overheard_lets_nobody_in(meet):
    """Recorded on its way to process 0, and sent once more to the same process 0."""
    first = meet(0, 3, seconds=5)
    greeting = json.dumps(
        {"process": 2, "processes": 3, "program": "1.0", "purpose": "watchdog"}
    ).encode()
    with stranger(meet.port) as one, stranger(meet.port) as other:
        nonce, mine = bytes.fromhex(one.recv(1000).split()[1].decode()), b"00" * 32
        overheard = (
            b" ".join((mine, digest(SECRET, CLIENT, nonce, mine, greeting), greeting)) + b"\n"
        )
        other.recv(1000)
        other.sendall(overheard)
        assert other.recv(1000) == b"refused\n"
        one.sendall(overheard)
        assert b"accepted" in one.recv(1000)  # in its place it is good
    assert line_of(first) == "process 2 has died"


def test_who_has_another_secret_is_ignored_and_the_run_goes_on(meet):
    first = meet(0)
    intruder = meet(1, secret=b"wrong", name="intruder", seconds=2)
    assert line_of(intruder).endswith("within 2 s: process 0 refuses this process's secret")
    meet(1).result(10)
    assert set(first.result(10).channels) == {1}


def test_the_secret_is_read_again_until_it_is_the_run_s(meet):
    """As where the file of an earlier run is still there when the others start."""
    known = iter([None, b"stale", b"stale"])
    other = meet(1, secret=lambda: next(known, SECRET))
    meet(0).result(10)
    other.result(10)


def test_process_0_must_know_the_secret_too():
    """One who listens in its place learns nothing that lets him pass for it."""
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        connection, end = socket.create_connection(listener.getsockname()), time.monotonic() + 5
        answer = pool.submit(greet, connection, SECRET, {"process": 1}, end, end)
        impostor, _ = listener.accept()
        with impostor, connection:
            impostor.sendall(channel.hello(bytes(32)))
            impostor.recv(1000)
            impostor.sendall(b"0" * 64 + b' {"accepted": true}\n')
            with pytest.raises(WrongProtocol):
                answer.result(10).receive(end)


@pytest.mark.parametrize(
    "words", [b"", b"SSH-2.0-OpenSSH_9.6\r\n", PROTOCOL + b" zz\n", b"x" * 10_000]
)
def test_something_else_at_the_port_is_one_line_in_time(words, monkeypatch):
    monkeypatch.setattr(rendezvous_client, "ANSWER_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stop = threading.Event()

        def answer():
            listener.settimeout(0.05)
            open_ones = []
            while not stop.is_set():
                try:
                    open_ones.append(listener.accept()[0])
                    open_ones[-1].sendall(words)
                except OSError:
                    pass
            for connection in open_ones:
                connection.close()

        thread = threading.Thread(target=answer)
        thread.start()
        member, begin = Membership("127.0.0.1", listener.getsockname()[1], 1, 2), time.monotonic()
        with pytest.raises(
            RunFailed, match=r"could not connect to process 0 at 127.0.0.1:\d+ within 0.5 s: "
        ):
            RendezvousClient(member, "1.0", lambda: SECRET, Timeout.after(0.5)).connect()
        assert time.monotonic() - begin < 3
        stop.set()
        thread.join()


def test_a_partner_that_never_comes_is_named_in_every_process(meet):
    first = meet(0, 12, seconds=2)
    others = [meet(1, 12), meet(4, 12)]
    meet.wait_for(1, 4)
    message = line_of(first)
    expected = (
        f"processes 2, 3, 5, 6, 7, 8, 9, 10 and 1 more did not connect to 127.0.0.1:{meet.port}"
        " within 2 s"
    )
    assert message.startswith(expected)
    assert "only this machine reaches 127.0.0.1" in message
    assert [line_of(other) for other in others] == [message, message]


def test_process_0_that_never_comes_is_one_line_in_time(meet):
    begin = time.monotonic()
    message = line_of(meet(1, seconds=0.5))
    where = f"127.0.0.1:{meet.port} within 0.5 s"
    assert message == f"could not connect to process 0 at {where}: Connection refused"
    assert time.monotonic() - begin < 3


def test_a_process_without_the_secret_says_so(meet):
    assert line_of(meet(1, secret=lambda: None, seconds=0.3)).endswith(
        "no secret of process 0 was found"
    )


def test_one_whose_time_is_up_first_lets_the_others_know(meet):
    first, second = meet(0, 3, seconds=20), meet(1, 3, seconds=1.5)
    assert (
        line_of(first) == line_of(second) == "the other processes did not all connect within 1.5 s"
    )


def test_the_same_id_twice_is_named_and_the_run_goes_on(meet):
    first, one = meet(0, 3), meet(1, 3)
    meet.wait_for(1)
    assert (
        line_of(meet(1, 3, name="twin"))
        == "process 1 was started twice: each needs a --process-id of its own"
    )
    meet(2, 3).result(10)
    assert set(first.result(10).channels) == {1, 2}
    one.result(10)


@pytest.mark.parametrize(
    ("other", "line"),
    [
        ({"index": 1, "count": 3}, "process 0 expects 2 processes, process 1 3"),
        ({"index": 1, "program": "2.0"}, "process 0 runs 1.0, process 1 2.0"),
        ({"index": 5, "count": 2}, "there is no process 5 beside process 0"),
    ],
)
def test_one_of_another_run_is_named_there_and_in_process_0(meet, other, line):
    first = meet(0, seconds=1.5)
    assert line_of(meet(**other)) == line
    assert line in line_of(first)


def test_a_death_before_the_rendezvous_is_complete_ends_all(meet):
    first, one = meet(0, 3), meet(1, 3)
    meet.wait_for(1)
    greeting = {"process": 2, "processes": 3, "program": "1.0", "purpose": "watchdog"}
    with stranger(meet.port) as connection:
        end = time.monotonic() + 5
        assert greet(connection, SECRET, greeting, end, end).receive(end) == {"accepted": True}
    assert line_of(first) == line_of(one) == "process 2 has died"


def test_the_death_of_process_0_before_the_rendezvous_is_complete_ends_the_others(meet):
    with socket.create_server(("127.0.0.1", meet.port)) as listener:
        other = meet(1)
        member = Membership("127.0.0.1", meet.port, 0, 2)
        process_0 = Rendezvous(listener, member, "1.0", SECRET)
        end = Timeout.after(5)
        process_0.listener.setblocking(False)
        process_0.selector.register(listener, 1, process_0._accept)
        while not process_0.connections.coordination:
            process_0._step(end)
        process_0.connections.close()  # as the system does for a process that is dead
        process_0.selector.close()
    assert line_of(other) == "process 0 has died"
