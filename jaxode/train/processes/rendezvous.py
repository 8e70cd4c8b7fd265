"""Where the processes of a run meet before JAX has done anything: process 0 listens, at one address.

Every other process makes two authenticated connections to it: one for its watchdog, and one that
becomes a tunnel to JAX's coordination service. When all have come, nobody listens any more.
"""

from __future__ import annotations

import contextlib
import secrets
import selectors
import socket
import time
from dataclasses import dataclass
from typing import Any

from jaxode.train.errors import RunFailed
from jaxode.train.processes.channel import (
    LONGEST_LINE,
    NONCE_BYTES,
    REFUSED,
    SERVER,
    Channel,
    greeting_of,
    hello,
)
from jaxode.train.processes.meeting import TUNNEL, WATCHDOG, Meeting
from jaxode.train.processes.membership import Membership
from jaxode.train.processes.timeout import Timeout

STRANGER_SECONDS = 10.0
"""How long one who has connected may take to say who he is."""
MOST_STRANGERS = 128
"""How many may be about to say it; for one more, the one who has taken longest is sent away."""
PAUSE_SECONDS, LINE_SECONDS = 0.01, 1.0
MOST_NAMED = 8
"""How many absent processes a message names."""
INTRUDER = "one who did not know the secret was refused"


@dataclass
class Stranger:
    """One who has connected and not yet said who he is, until the moment when he is sent away."""

    connection: socket.socket
    nonce: bytes
    until: float
    buffer: bytes = b""


class Rendezvous:
    """Process 0's side. Waits for all connections at once, so that nobody is waited for in turn.

    Args:
        listener: see `meeting.listen`; is closed at the end.
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

    def accept(self, timeout: Timeout) -> Meeting:
        """The connections of all other processes.

        Raises:
            RunFailed: one has not come or has died; the others raise it too.
        """
        self.listener.setblocking(False)
        self.selector.register(self.listener, selectors.EVENT_READ, self._admit)
        with self.listener, self.selector:
            try:
                while len(self.meeting.tunnels) < self.member.count - 1:
                    if not timeout.left:
                        raise RunFailed(self._absence(timeout))
                    self._step(timeout)
                self._begin()
            except BaseException as error:
                known = isinstance(error, RunFailed)
                self._give_up(str(error) if known else "process 0 was interrupted")
                raise
            finally:
                for stranger in list(self.strangers.values()):
                    self._send_away(stranger)
        return self.meeting

    def _step(self, timeout: Timeout) -> None:
        """Do what can be done now, or wait until something can."""
        first = next(iter(self.strangers.values()), None)
        left = timeout.left if first is None else min(timeout.left, first.until - time.monotonic())
        for key, _ in self.selector.select(max(0.0, left)):
            key.data()
        now = time.monotonic()
        for stranger in [each for each in self.strangers.values() if each.until <= now]:
            self._send_away(stranger)

    def _begin(self) -> None:
        for number, channel in self.meeting.channels.items():
            try:
                channel.send({"go": True})
            except OSError:
                raise RunFailed(f"process {number} has died") from None

    def _give_up(self, reason: str) -> None:
        for channel in self.meeting.channels.values():
            with contextlib.suppress(OSError):
                channel.send({"failed": reason})
        self.meeting.close()

    def _admit(self) -> None:
        try:
            connection, _ = self.listener.accept()
        except OSError:  # he has gone again, or there are no more file descriptors
            self._make_room(0)
            time.sleep(PAUSE_SECONDS)
            return
        connection.setblocking(False)
        self._make_room(MOST_STRANGERS - 1)
        nonce, until = secrets.token_bytes(NONCE_BYTES), time.monotonic() + STRANGER_SECONDS
        stranger = self.strangers[connection.fileno()] = Stranger(connection, nonce, until)
        self.selector.register(connection, selectors.EVENT_READ, lambda: self._hear(stranger))
        try:
            connection.sendall(hello(nonce))  # a new connection has room for a line
        except OSError:
            self._send_away(stranger)

    def _make_room(self, at_most: int) -> None:
        if len(self.strangers) > at_most:
            self._send_away(next(iter(self.strangers.values())))

    def _send_away(self, stranger: Stranger) -> None:
        self._forget(stranger)
        stranger.connection.close()

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
        if b"\n" in stranger.buffer:
            self._judge(stranger)
        elif not part or len(stranger.buffer) >= LONGEST_LINE:
            self._send_away(stranger)

    def _judge(self, stranger: Stranger) -> None:
        line, _, rest = stranger.buffer.partition(b"\n")
        known = greeting_of(line, stranger.nonce, self.secret) if not rest else None
        if known is None:
            with contextlib.suppress(OSError):
                stranger.connection.sendall(REFUSED + b"\n")
            self._send_away(stranger)
            self.refusal = self.refusal or INTRUDER
            return
        self._forget(stranger)
        greeting, key = known
        self._answer(Channel(stranger.connection, key, SERVER), greeting)

    def _answer(self, channel: Channel, greeting: dict[str, Any]) -> None:
        """Let in one who knows the secret, or tell him why he cannot take part."""
        refusal = self._mistake(greeting)
        try:
            channel.send({"refused": refusal} if refusal else {"accepted": True})
        except OSError:
            refusal = refusal or "a process that had died was refused"
        if refusal:
            self.refusal = refusal
            channel.close()
        elif greeting["purpose"] == TUNNEL:
            self.meeting.tunnels[greeting["process"]] = channel.connection, b""
        else:
            self._enter(greeting["process"], channel)

    def _enter(self, number: int, channel: Channel) -> None:
        self.meeting.channels[number] = channel
        self.selector.register(channel.connection, selectors.EVENT_READ, lambda: self._lost(number))

    def _mistake(self, greeting: dict[str, Any]) -> str:
        """Why somebody who knows the secret cannot take part; empty if he can."""
        number, count, program = (greeting.get(name) for name in ("process", "processes", "program"))
        channels, tunnels = self.meeting.channels, self.meeting.tunnels
        if program != self.program:
            return f"process 0 runs {self.program}, process {number} {program}"
        if count != self.member.count:
            return f"process 0 was told of {self.member.count} processes, process {number} of {count}"
        if type(number) is not int or not 0 < number < self.member.count:
            return f"there is no process {number} beside process 0"
        purpose = greeting.get("purpose")
        if purpose == WATCHDOG and number in channels:
            return f"process {number} was started twice: each needs a --process-id of its own"
        good = purpose == WATCHDOG or (purpose == TUNNEL and number in channels and number not in tunnels)
        return "" if good else f"process {number} came out of turn"

    def _lost(self, number: int) -> None:
        """A process that was accepted says something now: that it gives up, or that it is gone."""
        try:
            reason = self.meeting.channels[number].receive(time.monotonic() + LINE_SECONDS).get("failed")
        except OSError:
            reason = None
        raise RunFailed(str(reason or f"process {number} has died"))

    def _absence(self, timeout: Timeout) -> str:
        absent = [k for k in range(1, self.member.count) if k not in self.meeting.tunnels]
        names = ", ".join(map(str, absent[:MOST_NAMED]))
        names += f" and {len(absent) - MOST_NAMED} more" if absent[MOST_NAMED:] else ""
        which = f"process{'es' if len(absent) > 1 else ''} {names}"
        hints = [self.refusal] if self.refusal else []
        if self.meeting.of_one_machine:
            hints.append(f"only this machine reaches {self.meeting.address}, the address of {self.member.host}")
        return "; ".join([f"{which} did not come to {self.member.address} within {timeout}", *hints])
