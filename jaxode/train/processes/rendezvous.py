"""Where the processes of a run meet before JAX has done anything: process 0 listens, at one address.

Every other process makes two authenticated connections to it: one for its watchdog, and one that
becomes a tunnel to JAX's coordination service. When all have come, nobody listens any more.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import secrets
import selectors
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from jaxode.train.errors import RunFailed
from jaxode.train.processes.channel import (
    LONGEST_LINE,
    NONCE_BYTES,
    REFUSED,
    SERVER,
    Channel,
    WrongSecret,
    greet,
    greeting_of,
    hello,
)
from jaxode.train.processes.membership import Membership

STRANGER_SECONDS = 10.0
"""How long one who has connected may take to say who he is."""
MOST_STRANGERS = 128
"""How many may be about to say it; for one more, the one who has taken longest is sent away."""
BACKLOG = 128
RETRY_SECONDS, PAUSE_SECONDS = 0.2, 0.01
WATCHDOG, TUNNEL = "watchdog", "tunnel"
NO_SECRET = "this process does not know the run's secret"
SHOWN = 8
"""How many absent processes are named."""


@dataclass
class Meeting:
    """The connections of this process, by the numbers of the processes at their other ends.

    Args:
        address: this machine's address, by which the others reach it.
        channels: for the watchdog.
        tunnels: for JAX's coordination service, with what was received already.
    """

    address: str
    channels: dict[int, Channel] = field(default_factory=dict)
    tunnels: dict[int, tuple[socket.socket, bytes]] = field(default_factory=dict)

    def close(self) -> None:
        """End all connections."""
        for channel in self.channels.values():
            channel.close()
        for connection, _ in self.tunnels.values():
            connection.close()


def resolved(member: Membership, deadline: float) -> list[tuple[int, Any]]:
    """Family and socket address of each address that the host's name has, IPv4 first. Raises RunFailed."""
    while True:
        try:
            found = socket.getaddrinfo(member.host, member.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            passing = isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN
            if not passing or time.monotonic() >= deadline:
                reason = getattr(error, "strerror", None) or error
                raise RunFailed(f"cannot resolve {member.host}, the machine of process 0: {reason}") from error
            time.sleep(RETRY_SECONDS)
            continue
        return sorted(((family, address) for family, *_, address in found), key=lambda each: each[0] != socket.AF_INET)


def listen(member: Membership, deadline: float) -> socket.socket:
    """A socket that listens at the coordinator's address and at no other. Raises RunFailed."""
    reason = "it has no address"
    for family, address in resolved(member, deadline):
        if ipaddress.ip_address(address[0].partition("%")[0]).is_unspecified:
            raise RunFailed(f"{member.host} stands for every address of a machine: give the one of process 0")
        try:
            return socket.create_server(address, family=family, backlog=BACKLOG)
        except OSError as error:
            reason = os.strerror(error.errno or 0)
    hint = "HOST must be an address of process 0's machine, and PORT one that nothing else uses"
    message = f"process 0 cannot listen at {member.address}: {reason}: {hint}"
    raise RunFailed(message)


@dataclass
class Stranger:
    """One who has connected and not yet said who he is."""

    connection: socket.socket
    nonce: bytes
    until: float
    buffer: bytes = b""


class Rendezvous:
    """Process 0's side. Waits for all connections at once, so that nobody is waited for in turn.

    Args:
        listener: see `listen`; is closed at the end.
        member: process 0.
        program: what must be the same in every process, such as the version.
        secret: the run's.
    """

    def __init__(self, listener: socket.socket, member: Membership, program: str, secret: bytes) -> None:
        self.listener, self.member, self.program, self.secret = listener, member, program, secret
        self.meeting = Meeting(listener.getsockname()[0])
        self.strangers: dict[int, Stranger] = {}
        """By file descriptor, the first who came first."""
        self.refusal = ""
        self.selector = selectors.DefaultSelector()

    def accept(self, deadline: float, seconds: float) -> Meeting:
        """The connections of all other processes. Raises RunFailed, in them too, if one does not come or dies.

        Args:
            deadline: of time.monotonic.
            seconds: the timeout that led to it, for the message.
        """
        with self.listener, self.selector, contextlib.ExitStack() as cleanup:
            cleanup.callback(self._send_strangers_away)
            self.listener.setblocking(False)
            self.selector.register(self.listener, selectors.EVENT_READ, self._admit)
            try:
                while len(self.meeting.tunnels) < self.member.count - 1:
                    if time.monotonic() >= deadline:
                        raise RunFailed(self._absence(seconds))
                    self._step(deadline)
                for number in self.meeting.channels:
                    self._tell(number, {"go": True})
            except BaseException as error:
                reason = str(error) if isinstance(error, RunFailed) else "process 0 was interrupted"
                for channel in self.meeting.channels.values():
                    with contextlib.suppress(OSError):
                        channel.send({"failed": reason})
                self.meeting.close()
                raise
        return self.meeting

    def _step(self, deadline: float) -> None:
        ends = [deadline, *(stranger.until for stranger in list(self.strangers.values())[:1])]
        for key, _ in self.selector.select(max(0.0, min(ends) - time.monotonic())):
            key.data()
        now = time.monotonic()
        for stranger in [stranger for stranger in self.strangers.values() if stranger.until <= now]:
            self._send_away(stranger)

    def _admit(self) -> None:
        try:
            connection, _ = self.listener.accept()
        except OSError:  # he has gone again, or there are no more file descriptors
            self._make_room(0)
            time.sleep(PAUSE_SECONDS)
            return
        connection.setblocking(False)
        self._make_room(MOST_STRANGERS - 1)
        stranger = Stranger(connection, secrets.token_bytes(NONCE_BYTES), time.monotonic() + STRANGER_SECONDS)
        self.strangers[connection.fileno()] = stranger
        self.selector.register(connection, selectors.EVENT_READ, lambda: self._hear(stranger))
        try:
            connection.sendall(hello(stranger.nonce))  # a new connection has room for a line
        except OSError:
            self._send_away(stranger)

    def _make_room(self, at_most: int) -> None:
        if len(self.strangers) > at_most:
            self._send_away(next(iter(self.strangers.values())))

    def _send_away(self, stranger: Stranger) -> None:
        self._forget(stranger)
        stranger.connection.close()

    def _send_strangers_away(self) -> None:
        for stranger in list(self.strangers.values()):
            self._send_away(stranger)

    def _forget(self, stranger: Stranger) -> None:
        if self.strangers.pop(stranger.connection.fileno(), None):
            self.selector.unregister(stranger.connection)

    def _hear(self, stranger: Stranger) -> None:
        if stranger.connection.fileno() not in self.strangers:
            return  # sent away to make room, in the same round
        try:
            part = stranger.connection.recv(LONGEST_LINE - len(stranger.buffer))
        except BlockingIOError:
            return
        except OSError:
            part = b""
        stranger.buffer += part
        if not part or (b"\n" not in stranger.buffer and len(stranger.buffer) >= LONGEST_LINE):
            self._send_away(stranger)
        elif b"\n" in stranger.buffer:
            self._judge(stranger)

    def _judge(self, stranger: Stranger) -> None:
        line, _, rest = stranger.buffer.partition(b"\n")
        known = greeting_of(line, stranger.nonce, self.secret) if not rest else None
        if known is None:
            with contextlib.suppress(OSError):
                stranger.connection.sendall(REFUSED + b"\n")
            self._send_away(stranger)
            self.refusal = self.refusal or "one who did not know the secret was refused"
            return
        self._forget(stranger)
        greeting, key = known
        channel = Channel(stranger.connection, key, SERVER)
        refusal = self._refusal(greeting)
        try:
            channel.send({"refused": refusal} if refusal else {"accepted": True})
        except OSError:
            refusal = refusal or "a process that has died was refused"
        if refusal:
            self.refusal = refusal
            channel.close()
        elif greeting["purpose"] == TUNNEL:
            self.meeting.tunnels[greeting["process"]] = channel.connection, b""
        else:
            self.meeting.channels[greeting["process"]] = channel
            self.selector.register(channel.connection, selectors.EVENT_READ, lambda: self._lost(greeting["process"]))

    def _refusal(self, greeting: dict[str, Any]) -> str:
        """Why somebody who knows the secret cannot take part; empty if he can."""
        number, purpose = greeting.get("process"), greeting.get("purpose")
        if greeting.get("program") != self.program:
            return f"process 0 runs {self.program}, process {number} {greeting.get('program')}"
        if greeting.get("processes") != self.member.count:
            return (
                f"process 0 was told of {self.member.count} processes, process {number} of {greeting.get('processes')}"
            )
        if type(number) is not int or not 0 < number < self.member.count or purpose not in (WATCHDOG, TUNNEL):
            return f"there is no process {number} beside process 0"
        if number in (self.meeting.channels if purpose == WATCHDOG else self.meeting.tunnels):
            return f"process {number} was started twice: each needs a --process-id of its own"
        return "" if purpose == WATCHDOG or number in self.meeting.channels else f"process {number} came out of turn"

    def _lost(self, number: int) -> None:
        """A process that has been accepted says something now: that it gives up, or that it is gone."""
        try:
            reason = self.meeting.channels[number].receive(time.monotonic()).get("failed")
        except OSError:
            reason = None
        raise RunFailed(str(reason or f"process {number} has died"))

    def _tell(self, number: int, message: dict[str, Any]) -> None:
        try:
            self.meeting.channels[number].send(message)
        except OSError:
            raise RunFailed(f"process {number} has died") from None

    def _absence(self, seconds: float) -> str:
        absent = [number for number in range(1, self.member.count) if number not in self.meeting.tunnels]
        names = ", ".join(map(str, absent[:SHOWN])) + (f" and {len(absent) - SHOWN} more" if absent[SHOWN:] else "")
        which = f"process{'es' if len(absent) > 1 else ''} {names}"
        hints = [self.refusal] if self.refusal else []
        if ipaddress.ip_address(self.meeting.address.partition("%")[0]).is_loopback:
            hints.append(f"only this machine reaches {self.meeting.address}, the address of {self.member.host}")
        return "; ".join([f"{which} did not come to {self.member.address} within {seconds:g} s", *hints])


def connect(
    member: Membership, program: str, secret: Callable[[], bytes | None], deadline: float, seconds: float
) -> Meeting:
    """The side of every process but 0: wait for process 0, then for the others. Raises RunFailed.

    Args:
        member: this process.
        program: what must be the same in every process.
        secret: the run's as it is known now; None before it is.
        deadline: of time.monotonic.
        seconds: the timeout that led to it, for messages.
    """
    channel = joined(member, program, WATCHDOG, secret, deadline, seconds)
    meeting = Meeting(channel.connection.getsockname()[0], {0: channel})
    try:
        tunnel = joined(member, program, TUNNEL, secret, deadline, seconds)
        meeting.tunnels[0] = tunnel.connection, tunnel.buffer
        wait_for_the_others(channel, deadline, seconds)
    except BaseException:
        meeting.close()
        raise
    return meeting


def wait_for_the_others(channel: Channel, deadline: float, seconds: float) -> None:
    """Wait until process 0 says that all have come. Raises RunFailed, for process 0 too."""
    try:
        answer = channel.receive(deadline)
    except TimeoutError:
        reason = f"the other processes did not all come within {seconds:g} s"
        with contextlib.suppress(OSError):
            channel.send({"failed": reason})
        raise RunFailed(reason) from None
    except OSError:
        raise RunFailed("process 0 has died") from None
    if "go" not in answer:
        raise RunFailed(str(answer.get("failed") or "process 0 has ended"))


def joined(
    member: Membership,
    program: str,
    purpose: str,
    secret: Callable[[], bytes | None],
    deadline: float,
    seconds: float,
) -> Channel:
    """A connection that process 0 has accepted; tries until the deadline. Raises RunFailed."""
    greeting = {"process": member.index, "processes": member.count, "program": program, "purpose": purpose}
    addresses, reason, answered = resolved(member, deadline), NO_SECRET, False
    while True:
        known = secret()
        if not known:
            reason, answered = NO_SECRET, False
        for family, address in addresses if known else ():
            try:
                return attempt(family, address, known or b"", greeting, deadline)
            except TimeoutError:  # perhaps only because the time is up
                reason = reason if answered else "process 0 does not answer"
            except OSError as error:
                reason, answered = error.strerror or str(error), True
                if isinstance(error, WrongSecret):
                    break
        if time.monotonic() >= deadline:
            raise RunFailed(f"could not meet process 0 at {member.address} within {seconds:g} s: {reason}")
        time.sleep(min(RETRY_SECONDS, max(0.0, deadline - time.monotonic())))


def attempt(family: int, address: Any, secret: bytes, greeting: dict[str, Any], deadline: float) -> Channel:
    """One try to join. Raises OSError if another may succeed, RunFailed if process 0 says that none will."""
    soon = min(deadline, time.monotonic() + STRANGER_SECONDS)
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        connection.settimeout(max(0.01, soon - time.monotonic()))
        connection.connect(address)
        if connection.getsockname() == connection.getpeername():  # TCP lets a socket meet itself
            raise ConnectionRefusedError("nothing listens there")
        channel = greet(connection, secret, greeting, soon, deadline)
        answer = channel.receive(deadline)
    except BaseException:
        connection.close()
        raise
    if "accepted" not in answer:
        channel.close()
        raise RunFailed(str(answer.get("refused")))
    return channel
