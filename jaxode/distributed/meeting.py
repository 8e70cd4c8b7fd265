"""What a meeting of the processes is made of: an address, who takes part, and the connections."""

from __future__ import annotations

import ipaddress
import os
import socket
import time
from dataclasses import dataclass, field
from typing import Any

from jaxode.distributed.channel import Channel
from jaxode.distributed.membership import Membership
from jaxode.distributed.timeout import Timeout
from jaxode.errors import RunFailed

WATCHDOG, TUNNEL = "watchdog", "tunnel"
"""The purposes of the two connections that every process but 0 makes."""
BACKLOG = 128
RETRY_SECONDS = 0.2


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

    @property
    def of_one_machine(self) -> bool:
        """Whether the address is one that other machines cannot reach."""
        return plain(self.address).is_loopback

    def close(self) -> None:
        """End all connections."""
        for channel in self.channels.values():
            channel.close()
        for connection, _ in self.tunnels.values():
            connection.close()


def plain(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An address without its interface."""
    return ipaddress.ip_address(address.partition("%")[0])


def resolved(member: Membership, timeout: Timeout) -> list[tuple[int, Any]]:
    """Family and socket address of each address that the host's name has, IPv4 first.

    Raises:
        RunFailed: there is none, also after waiting for a name server that does not answer.
    """
    while True:
        try:
            found = socket.getaddrinfo(member.host, member.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            passing = isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN
            if not passing or not timeout.left:
                reason = getattr(error, "strerror", None) or error
                message = f"cannot resolve {member.host}, the machine of process 0: {reason}"
                raise RunFailed(message) from error
            time.sleep(RETRY_SECONDS)
        else:
            pairs = [(family, address) for family, *_, address in found]
            return sorted(pairs, key=lambda pair: pair[0] != socket.AF_INET)


def listen(member: Membership, timeout: Timeout) -> socket.socket:
    """A socket that listens at the coordinator's address and at no other. Raises RunFailed."""
    reason = "it has no address"
    for family, address in resolved(member, timeout):
        if plain(address[0]).is_unspecified:
            raise RunFailed(f"{member.host} stands for every address: give that of process 0")
        try:
            return socket.create_server(address, family=family, backlog=BACKLOG)
        except OSError as error:
            reason = os.strerror(error.errno or 0)
    hint = "HOST must be an address of process 0's machine, and PORT one that nothing else uses"
    raise RunFailed(f"process 0 cannot listen at {member.address}: {reason}: {hint}")
