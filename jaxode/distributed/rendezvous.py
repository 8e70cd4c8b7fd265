"""The rendezvous of a run's processes before JAX starts: process 0 listens, at one address.

Every other process makes two authenticated connections to it: one for its watchdog, and one to
JAX's coordination service. When all are connected, process 0 stops listening.
"""

from __future__ import annotations

import contextlib
import secrets
import selectors
import socket
import time
from dataclasses import dataclass

from jaxode.distributed.channel import (
    LONGEST_LINE,
    NONCE_BYTES,
    REFUSED,
    SERVER,
    Channel,
    greeting_of,
    hello,
)
from jaxode.distributed.connections import COORDINATION, WATCHDOG, Connections
from jaxode.distributed.membership import Membership
from jaxode.distributed.timeout import Timeout
from jaxode.errors import RunFailed
from jaxode.strict_json import JsonObject

AUTHENTICATION_SECONDS = 10.0
"""How long a new connection may take to authenticate itself."""
MOST_PENDING = 128
"""How many may be about to do so; one more displaces the oldest, for those of the run take
milliseconds.
"""
PAUSE_SECONDS, LINE_SECONDS = 0.01, 1.0
MOST_NAMED = 8
"""How many absent processes a message names."""
UNKNOWN = "a connection that did not know the secret was refused"


@dataclass
class Pending:
    """A connection that has not authenticated itself yet, and the moment when it is closed."""

    connection: socket.socket
    nonce: bytes
    until: float
    buffer: bytes = b""


class Rendezvous:
    """Process 0's side. Reads from all connections as bytes come, so that none delays another.

    Args:
        listener: see `connections.listen`; is closed at the end.
        member: process 0.
        program: what must be the same in every process, such as the version.
        secret: the run's.
    """

    def __init__(
        self,
        listener: socket.socket,
        member: Membership,
        program: str,
        secret: bytes,
    ) -> None:
        self.listener, self.member = listener, member
        self.program, self.secret = program, secret
        self.connections = Connections(listener.getsockname()[0])
        self.pending: dict[int, Pending] = {}
        """By file descriptor, the oldest first."""
        self.refusal = ""
        """Why a connection was refused, which may be why a process is missing."""
        self.selector = selectors.DefaultSelector()

    def accept(self, timeout: Timeout) -> Connections:
        """The connections of all other processes.

        Raises:
            RunFailed: one has not come or has died; the others raise it too.
        """
        self.listener.setblocking(False)
        self.selector.register(self.listener, selectors.EVENT_READ, self._accept)
        with self.listener, self.selector:
            try:
                while len(self.connections.coordination) < self.member.count - 1:
                    if not timeout.left:
                        raise RunFailed(self._missing(timeout))
                    self._step(timeout)
                self._begin()
            except BaseException as error:
                known = isinstance(error, RunFailed)
                self._fail_all(str(error) if known else "process 0 was interrupted")
                raise
            finally:
                for pending in list(self.pending.values()):
                    self._drop(pending)
        return self.connections

    def _step(self, timeout: Timeout) -> None:
        """Do what can be done now, or wait until something can."""
        oldest = next(iter(self.pending.values()), None)
        left = timeout.left
        if oldest is not None:
            left = min(left, oldest.until - time.monotonic())
        for key, _ in self.selector.select(max(0.0, left)):
            key.data()
        now = time.monotonic()
        for pending in [each for each in self.pending.values() if each.until <= now]:
            self._drop(pending)

    def _begin(self) -> None:
        for number, channel in self.connections.channels.items():
            try:
                channel.send({"go": True})
            except OSError:
                raise RunFailed(f"process {number} has died") from None

    def _fail_all(self, reason: str) -> None:
        for channel in self.connections.channels.values():
            with contextlib.suppress(OSError):
                channel.send({"failed": reason})
        self.connections.close()

    def _accept(self) -> None:
        try:
            connection, _ = self.listener.accept()
        except OSError:  # it was closed already, or there are no more file descriptors
            self._make_room(0)
            time.sleep(PAUSE_SECONDS)
            return
        connection.setblocking(False)
        self._make_room(MOST_PENDING - 1)
        nonce, until = secrets.token_bytes(NONCE_BYTES), time.monotonic() + AUTHENTICATION_SECONDS
        pending = self.pending[connection.fileno()] = Pending(connection, nonce, until)
        self.selector.register(connection, selectors.EVENT_READ, lambda: self._read(pending))
        try:
            connection.sendall(hello(nonce))  # a new connection has room for a line
        except OSError:
            self._drop(pending)

    def _make_room(self, at_most: int) -> None:
        if len(self.pending) > at_most:
            self._drop(next(iter(self.pending.values())))

    def _drop(self, pending: Pending) -> None:
        self._release(pending)
        pending.connection.close()

    def _release(self, pending: Pending) -> None:
        if self.pending.pop(pending.connection.fileno(), None):
            self.selector.unregister(pending.connection)

    def _read(self, pending: Pending) -> None:
        if pending.connection.fileno() not in self.pending:
            return  # closed to make room, in the same round
        try:
            part = pending.connection.recv(LONGEST_LINE - len(pending.buffer))
        except BlockingIOError:
            return
        except OSError:
            part = b""
        pending.buffer += part
        if b"\n" in pending.buffer:
            self._authenticate(pending)
        elif not part or len(pending.buffer) >= LONGEST_LINE:
            self._drop(pending)

    def _authenticate(self, pending: Pending) -> None:
        line, _, rest = pending.buffer.partition(b"\n")
        known = greeting_of(line, pending.nonce, self.secret) if not rest else None
        if known is None:
            with contextlib.suppress(OSError):
                pending.connection.sendall(REFUSED + b"\n")
            self._drop(pending)
            self.refusal = self.refusal or UNKNOWN
            return
        self._release(pending)
        greeting, key = known
        self._answer(Channel(pending.connection, key, SERVER), greeting)

    def _answer(self, channel: Channel, greeting: JsonObject) -> None:
        """Accept a process that knows the secret, or answer why it cannot take part."""
        refusal = self._refusal(greeting)
        try:
            channel.send({"refused": refusal} if refusal else {"accepted": True})
        except OSError:
            refusal = refusal or "a process died while it joined"
        if refusal:
            self.refusal = refusal
            channel.close()
        elif greeting["purpose"] == COORDINATION:
            self.connections.coordination[greeting["process"]] = channel.connection, b""
        else:
            self._add(greeting["process"], channel)

    def _add(self, number: int, channel: Channel) -> None:
        self.connections.channels[number] = channel
        connection = channel.connection
        self.selector.register(connection, selectors.EVENT_READ, lambda: self._fail(number))

    def _refusal(self, greeting: JsonObject) -> str:
        """Why a process that knows the secret cannot take part; empty if it can."""
        names = ("process", "processes", "program", "purpose")
        number, count, program, purpose = map(greeting.get, names)
        channels, coordination = self.connections.channels, self.connections.coordination
        own = self.member.count
        if program != self.program:
            return f"process 0 runs {self.program}, process {number} {program}"
        if count != own:
            return f"process 0 expects {own} processes, process {number} {count}"
        if type(number) is not int or not 0 < number < own:
            return f"there is no process {number} beside process 0"
        if purpose == WATCHDOG and number in channels:
            return f"process {number} was started twice: each needs a --process-id of its own"
        second = purpose == COORDINATION and number in channels and number not in coordination
        return "" if second or purpose == WATCHDOG else f"process {number} connected out of order"

    def _fail(self, number: int) -> None:
        """A process that was accepted sends something now: that it gives up, or its end."""
        try:
            message = self.connections.channels[number].receive(time.monotonic() + LINE_SECONDS)
            reason = message.get("failed")
        except OSError:
            reason = None
        raise RunFailed(str(reason or f"process {number} has died"))

    def _missing(self, timeout: Timeout) -> str:
        absent = [k for k in range(1, self.member.count) if k not in self.connections.coordination]
        names = ", ".join(map(str, absent[:MOST_NAMED]))
        names += f" and {len(absent) - MOST_NAMED} more" if absent[MOST_NAMED:] else ""
        which = f"process{'es' if len(absent) > 1 else ''} {names}"
        parts = [f"{which} did not connect to {self.member.address} within {timeout}"]
        if self.refusal:
            parts.append(self.refusal)
        if self.connections.is_loopback:
            address, host = self.connections.address, self.member.host
            which = "" if host == address else f", the address of {host}"
            parts.append(f"only this machine reaches {address}{which}")
        return "; ".join(parts)
