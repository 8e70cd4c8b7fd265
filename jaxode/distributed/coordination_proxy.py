"""A proxy between JAX's client in each process and its coordination service in process 0.

The service authenticates nobody. So it listens on a Unix socket in a directory that only this user
can enter, and the other processes reach it through connections that the rendezvous authenticated.
JAX ends a process with a stack trace as soon as its connection to the service breaks. A connection
through the proxy does not break when process 0 dies, so that the watchdog comes first.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

CHUNK = 65536
RETRY_SECONDS = 0.02
LONGEST_PATH = 100
"""Bytes, about as many as the name of a Unix socket can have."""


class CoordinationProxy:
    """Context with the Unix socket of JAX's service; its connections outlive it.

    Args:
        own: the number of this process.
        connections: those of `Connections.coordination`.
        deadline: until when process 0 waits for its service, of time.monotonic.
    """

    def __init__(
        self, own: int, connections: dict[int, tuple[socket.socket, bytes]], deadline: float
    ) -> None:
        self.own, self.connections, self.deadline = own, connections, deadline
        self.open: list[socket.socket] = []
        """Keeps connections from being closed as long as this process lives."""

    def __enter__(self) -> Self:
        self.directory = private_directory()
        self.path = self.directory / "jax"
        if self.own > 0:
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            listener.bind(str(self.path))
            listener.listen(1)
            self._start(self._serve, listener)
        else:
            for remote, received in self.connections.values():
                self._start(self._forward, remote, received)
        return self

    def __exit__(self, *exception: object) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)  # sockets that are open stay so

    @property
    def address(self) -> str:
        """The socket's name as gRPC writes it."""
        return f"unix:{self.path}"

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        threading.Thread(target=work, args=arguments, name="proxy", daemon=True).start()

    def _serve(self, listener: socket.socket) -> None:
        """In a process that has no service: accept JAX's client as the only connection."""
        with listener:
            local, _ = listener.accept()
        remote, received = self.connections[0]
        self._connect(local, remote, received, hold=True)

    def _forward(self, remote: socket.socket, received: bytes) -> None:
        """In process 0: connect to the service as soon as it listens."""
        local = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        while time.monotonic() < self.deadline:
            try:
                local.connect(str(self.path))
            except OSError:
                time.sleep(RETRY_SECONDS)
            else:
                self._connect(local, remote, received, hold=False)
                return
        local.close()

    def _connect(
        self, local: socket.socket, remote: socket.socket, received: bytes, *, hold: bool
    ) -> None:
        self.open += [local, remote]
        remote.settimeout(None)
        remote.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._start(copy, local, remote, b"", False)
        copy(remote, local, received, hold)


def private_directory() -> Path:
    """A new directory of this user alone, whose path is short enough for a Unix socket."""
    directory = Path(tempfile.mkdtemp(prefix="jaxode-"))
    if len(bytes(directory)) > LONGEST_PATH:
        directory.rmdir()
        directory = Path(tempfile.mkdtemp(prefix="jaxode-", dir="/tmp"))
    return directory


def copy(source: socket.socket, target: socket.socket, first: bytes, hold: bool) -> None:
    """Copy the bytes of one connection to another until it ends.

    Args:
        source: is read.
        target: is written.
        first: bytes that were read before.
        hold: keep the target open after the source's end.
    """
    with contextlib.suppress(OSError):
        target.sendall(first)
        while part := source.recv(CHUNK):
            target.sendall(part)
    if not hold:
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)
