"""How the processes of one run notice at once that one of them has died.

JAX's heartbeats take their time, and then end a process in the midst of its work with a stack trace. Here every process
keeps a connection to process 0. Whoever leaves in order says so; where a connection breaks without a word, the system
has closed it for a process that is dead, and the others end with one line.
"""

from __future__ import annotations

import contextlib
import secrets
import socket
import threading
from collections.abc import Callable

CONNECT_SECONDS = 60.0
FAREWELL = b"leaving in order\n"
KEY_BYTES = 16
NUMBER_BYTES = 4


class Door:
    """Where process 0 waits for the others: a port, and a key that keeps strangers out."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("", 0))
        self.listener.settimeout(CONNECT_SECONDS)
        self.port: int = self.listener.getsockname()[1]
        self.key = secrets.token_bytes(KEY_BYTES)

    def admit(self, others: int) -> dict[int, socket.socket]:
        """The connections of so many other processes, by their numbers. Raises OSError (TimeoutError) without them."""
        found: dict[int, socket.socket] = {}
        try:
            with self.listener:
                while len(found) < others:
                    connection, _ = self.listener.accept()
                    connection.settimeout(CONNECT_SECONDS)
                    greeting = connection.makefile("rb").read(KEY_BYTES + NUMBER_BYTES)
                    if secrets.compare_digest(greeting[:KEY_BYTES], self.key):
                        found[int.from_bytes(greeting[KEY_BYTES:], "big")] = connection
                    else:
                        connection.close()
        except OSError:
            say(FAREWELL, found)  # without all of them, none is watched
            raise
        return found


def knock(host: str, port: int, key: bytes, number: int) -> dict[int, socket.socket]:
    """The connection of process `number` to process 0. Raises OSError."""
    connection = socket.create_connection((host, port), CONNECT_SECONDS)
    connection.sendall(key + number.to_bytes(NUMBER_BYTES, "big"))
    return {0: connection}


def say(words: bytes, connections: dict[int, socket.socket]) -> None:
    """The last words to all who still hear them."""
    for connection in connections.values():
        with contextlib.suppress(OSError):
            connection.sendall(words)
            connection.shutdown(socket.SHUT_WR)


class Lifeline:
    """Watches the connections to other processes, each in a thread.

    Args:
        connections: by the numbers of the processes at their other ends.
        lost: called once with a sentence when a process has died, in the thread that noticed it.
    """

    def __init__(self, connections: dict[int, socket.socket], lost: Callable[[str], None]) -> None:
        self.connections, self.lost = connections, lost
        self.leaving = threading.Lock()
        for number, connection in connections.items():
            connection.settimeout(None)
            threading.Thread(target=self._watch, args=(number, connection), daemon=True).start()

    def _watch(self, number: int, connection: socket.socket) -> None:
        try:
            words = connection.makefile("rb").read()
        except OSError:
            words = b""
        if words.endswith(FAREWELL) or not self.leaving.acquire(blocking=False):
            return  # it has left in order, or this process is about to end itself
        words = words or f"process {number} has died".encode()
        say(words, self.connections)
        self.lost(words.decode(errors="replace"))

    def leave(self, reason: str = "") -> None:
        """Say farewell to all, or why this process ends out of order."""
        if self.leaving.acquire(blocking=False):
            say(reason.encode() or FAREWELL, self.connections)
