"""The connections between the processes of a run, and the address at which process 0 listens."""

from __future__ import annotations

import ipaddress
import os
import socket
import time
from dataclasses import dataclass, field
from typing import TypeAlias

from jaxode.distributed.channel import Channel
from jaxode.distributed.membership import Membership
from jaxode.distributed.timeout import Timeout
from jaxode.errors import RunFailed

WATCHDOG, COORDINATION = "watchdog", "coordination"
"""The purposes of the two connections that every process but 0 makes."""
BACKLOG = 128
"""Connections that may wait to be accepted."""

SocketAddress: TypeAlias = tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]
"""Of IPv4, of IPv6, and of a Python without IPv6."""

RETRY_SECONDS = 0.2


@dataclass
class Connections:
    """The connections of this process, by the numbers of the processes at their other ends.

    Args:
        address: this machine's address, by which the others reach it.
        channels: for the watchdog, by the number of the process at the other end.
        coordination: for JAX's coordination service, with the bytes received already.
    """

    address: str
    channels: dict[int, Channel] = field(default_factory=dict)
    coordination: dict[int, tuple[socket.socket, bytes]] = field(default_factory=dict)

    @property
    def is_loopback(self) -> bool:
        """Whether the address is one that other machines cannot reach."""
        return without_interface(self.address).is_loopback

    def close(self) -> None:
        """End all connections."""
        for channel in self.channels.values():
            channel.close()
        for connection, _ in self.coordination.values():
            connection.close()


def without_interface(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An IP address, of which a text such as fe80::1%eth0 also names the interface."""
    return ipaddress.ip_address(address.partition("%")[0])


def resolved(member: Membership, timeout: Timeout) -> list[tuple[int, SocketAddress]]:
    """The socket addresses of process 0, IPv4 first.

    Args:
        member: names its host and port.
        timeout: for a name server that does not answer.

    Returns:
        family and address, as `socket.socket` and its `connect` take them.

    Raises:
        RunFailed: the name has no address.
    """
    while True:
        try:
            entries = socket.getaddrinfo(member.host, member.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            passing = isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN
            if not passing or not timeout.left:
                reason = getattr(error, "strerror", None) or error
                message = f"cannot resolve {member.host}, the machine of process 0: {reason}"
                raise RunFailed(message) from error
            time.sleep(RETRY_SECONDS)
        else:
            pairs = [(family, address) for family, *_, address in entries]
            return sorted(pairs, key=lambda pair: pair[0] != socket.AF_INET)


def listen(member: Membership, timeout: Timeout) -> socket.socket:
    """A socket that listens at the coordinator's address and at no other.

    Args:
        member: process 0.
        timeout: for a name server that does not answer.

    Raises:
        RunFailed: the address cannot be resolved, is not of this machine, or is in use.
    """
    reason = "it has no address"
    for family, address in resolved(member, timeout):
        if without_interface(str(address[0])).is_unspecified:
            raise RunFailed(f"{member.host} means every address: give that of process 0")
        try:
            return socket.create_server(address, family=family, backlog=BACKLOG)
        except OSError as error:
            reason = os.strerror(error.errno or 0)
    hint = "HOST must be an address of process 0's machine, and PORT one that nothing else uses"
    raise RunFailed(f"process 0 cannot listen at {member.address}: {reason}: {hint}")
