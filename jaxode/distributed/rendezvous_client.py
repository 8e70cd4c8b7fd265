"""The rendezvous in every process but 0: it connects until process 0 accepts it or time is up."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from jaxode.distributed.channel import Channel, WrongSecret, greet
from jaxode.distributed.connections import (
    COORDINATION,
    RETRY_SECONDS,
    WATCHDOG,
    Connections,
    SocketAddress,
    resolved,
)
from jaxode.distributed.membership import Membership
from jaxode.distributed.timeout import Timeout
from jaxode.errors import RunFailed
from jaxode.strict_json import JsonObject

ANSWER_SECONDS = 10.0
"""How long whatever listens at the address may take for its first line."""
NO_SECRET = "no secret of process 0 was found"


@dataclass
class RendezvousClient:
    """A process that connects to process 0.

    Args:
        member: this process.
        program: what must be the same in every process, such as the version.
        secret: returns the run's secret as it is known now; None before it is.
        timeout: for the whole rendezvous.
    """

    member: Membership
    program: str
    secret: Callable[[], bytes | None]
    timeout: Timeout

    def connect(self) -> Connections:
        """Wait for process 0, then for the others. Raises RunFailed."""
        addresses = resolved(self.member, self.timeout)
        channel = self._joined(addresses, WATCHDOG)
        connections = Connections(channel.connection.getsockname()[0], {0: channel})
        try:
            second = self._joined(addresses, COORDINATION)
            connections.coordination[0] = second.connection, second.buffer
            self._wait_for_the_others(channel)
        except BaseException:
            connections.close()
            raise
        return connections

    def _joined(self, addresses: list[tuple[int, SocketAddress]], purpose: str) -> Channel:
        """A connection that process 0 has accepted. Raises RunFailed."""
        reason = NO_SECRET
        while True:
            try:
                return self._attempt(addresses, purpose)
            except TimeoutError:  # perhaps only as time is up: an earlier reason is more precise
                reason = "process 0 does not answer" if reason == NO_SECRET else reason
            except OSError as error:
                reason = error.strerror or str(error)
            if not self.timeout.left:
                where = f"{self.member.address} within {self.timeout}"
                raise RunFailed(f"could not connect to process 0 at {where}: {reason}")
            time.sleep(min(RETRY_SECONDS, self.timeout.left))

    def _attempt(self, addresses: list[tuple[int, SocketAddress]], purpose: str) -> Channel:
        """One try at each address. Raises OSError if a later one may succeed."""
        secret, failure = self.secret(), OSError(NO_SECRET)
        for family, address in addresses if secret else ():
            try:
                return self._accepted(family, address, secret or b"", purpose)
            except WrongSecret:
                raise
            except OSError as error:
                failure = error
        raise failure

    def _accepted(
        self, family: int, address: SocketAddress, secret: bytes, purpose: str
    ) -> Channel:
        connection = socket.socket(family, socket.SOCK_STREAM)
        try:
            soon = self.timeout.at_most(ANSWER_SECONDS)
            connection.settimeout(max(0.01, soon.left))
            connection.connect(address)
            if connection.getsockname() == connection.getpeername():  # connected to itself
                raise ConnectionRefusedError("nothing listens there")
            channel = greet(connection, secret, self._greeting(purpose), soon.end, self.timeout.end)
            answer = channel.receive(self.timeout.end)
        except BaseException:
            connection.close()
            raise
        if "accepted" not in answer:
            channel.close()
            raise RunFailed(str(answer.get("refused")))
        return channel

    def _greeting(self, purpose: str) -> JsonObject:
        own = {"process": self.member.index, "processes": self.member.count}
        return {**own, "program": self.program, "purpose": purpose}

    def _wait_for_the_others(self, channel: Channel) -> None:
        """Wait until process 0 says that all have come. Raises RunFailed, in process 0 too."""
        try:
            answer = channel.receive(self.timeout.end)
        except TimeoutError:
            reason = f"the other processes did not all connect within {self.timeout}"
            with contextlib.suppress(OSError):
                channel.send({"failed": reason})
            raise RunFailed(reason) from None
        except OSError:
            raise RunFailed("process 0 has died") from None
        if "go" not in answer:
            raise RunFailed(str(answer.get("failed") or "process 0 has ended"))
