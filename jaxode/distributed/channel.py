"""A connection between two processes that know the run's secret. Every line carries an HMAC.

Each side draws a nonce. The client proves by an HMAC of both nonces and its greeting that it knows
the secret. From then on a key derived from all these authenticates the lines of both sides, each
with its number, so that no line can be forged, altered, repeated or left out. Nothing is encrypted.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import re
import secrets
import select
import socket
import threading
import time

from jaxode.strict_json import JsonObject

PROTOCOL = b"jaxode-rendezvous-1"
REFUSED = b"refused"
"""The only answer to a client that does not know the secret."""
NONCE_BYTES = 32
NONCE = re.compile(rb"[0-9a-f]{%d}" % (2 * NONCE_BYTES))
LONGEST_LINE = 4096
SEND_SECONDS = 20.0
"""How long a line may wait for room in the buffers, which a stopped process leaves full."""
SERVER, CLIENT = b"server", b"client"


class WrongSecret(ConnectionError):
    """The other side refuses this process's secret."""


class WrongProtocol(ConnectionError):
    """The other side is no process of a run, or one of another version."""


def digest(key: bytes, *parts: bytes) -> bytes:
    """HMAC-SHA256 of parts, in hexadecimal digits.

    Each part follows its length, so that no two lists of parts have the same digest.
    """
    text = b"".join(len(part).to_bytes(8, "big") + part for part in (PROTOCOL, *parts))
    return hmac.new(key, text, hashlib.sha256).hexdigest().encode()


def hello(nonce: bytes) -> bytes:
    """The server's first line.

    Args:
        nonce: the server's.
    """
    return PROTOCOL + b" " + nonce.hex().encode() + b"\n"


def greeting_of(line: bytes, nonce: bytes, secret: bytes) -> tuple[JsonObject, bytes] | None:
    """The greeting of a client, which is authenticated.

    Args:
        line: what was received.
        nonce: the server's.
        secret: the run's.

    Returns:
        The greeting and the key for all that follows; None for a wrong secret.
    """
    parts = line.split(b" ", 2)
    if len(parts) != 3:
        return None
    own, mac, text = parts
    greeting = parsed(text)
    authentic = hmac.compare_digest(mac, digest(secret, CLIENT, nonce, own, text))
    return (greeting, digest(secret, b"key", nonce, own, text)) if authentic and greeting else None


def parsed(text: bytes) -> JsonObject | None:
    """The JSON object in a text.

    Args:
        text: bytes of any content.

    Returns:
        The object; None for anything else.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


class Channel:
    """Sends and receives lines. Several threads may send, one may receive.

    Args:
        connection: is closed by `close` alone.
        key: of this connection.
        own: which side this is, SERVER or CLIENT.
    """

    def __init__(self, connection: socket.socket, key: bytes, own: bytes) -> None:
        connection.settimeout(SEND_SECONDS)
        self.connection, self.key, self.own = connection, key, own
        self.other = CLIENT if own == SERVER else SERVER
        self.sending = threading.Lock()
        self.sent = self.received = 0
        self.buffer = b""

    def send(self, message: JsonObject) -> None:
        """Send a JSON object.

        Args:
            message: the object.

        Raises:
            OSError: the connection has ended, or the other side does not read.
        """
        text = json.dumps(message).encode()
        with self.sending:
            line = self._digest(self.own, self.sent, text) + b" " + text + b"\n"
            self.sent += 1
            self.connection.sendall(line)

    def receive(self, deadline: float) -> JsonObject:
        """The next JSON object.

        Args:
            deadline: of time.monotonic.

        Raises:
            TimeoutError: none came before the deadline.
            ConnectionError: the connection has ended, or the line is not authentic.
        """
        line, self.buffer = read_line(self.connection, self.buffer, deadline)
        mac, _, text = line.partition(b" ")
        authentic = hmac.compare_digest(mac, self._digest(self.other, self.received, text))
        message = parsed(text) if authentic else None
        if message is None:
            raise WrongProtocol("a line that the other process did not send")
        self.received += 1
        return message

    def _digest(self, side: bytes, number: int, text: bytes) -> bytes:
        return digest(self.key, side, number.to_bytes(8, "big"), text)

    def close(self) -> None:
        """End the connection, also for a thread that receives."""
        with contextlib.suppress(OSError):  # the other side may have been faster
            self.connection.shutdown(socket.SHUT_RDWR)
        self.connection.close()


def read_line(connection: socket.socket, buffer: bytes, deadline: float) -> tuple[bytes, bytes]:
    """The first line that is received.

    Args:
        connection: is read until a line is complete.
        buffer: bytes received before.
        deadline: of time.monotonic.

    Returns:
        The line without its end, and the bytes received beyond it.

    Raises:
        TimeoutError: no line came before the deadline.
        ConnectionError: the connection has ended, or the line is too long.
        OSError: the connection failed.
    """
    poll = select.poll()
    try:
        poll.register(connection, select.POLLIN)
    except ValueError:  # it has no file descriptor any more
        raise ConnectionError("the connection was closed by another thread") from None
    while b"\n" not in buffer:
        if len(buffer) > LONGEST_LINE:
            raise WrongProtocol("a line that does not end")
        if not poll.poll(1000 * max(0.0, deadline - time.monotonic())):
            raise TimeoutError("nothing was received")
        part = connection.recv(LONGEST_LINE)
        if not part:
            raise ConnectionError("the connection was closed")
        buffer += part
    line, _, rest = buffer.partition(b"\n")
    return line, rest


def greet(
    connection: socket.socket,
    secret: bytes,
    greeting: JsonObject,
    soon: float,
    deadline: float,
) -> Channel:
    """The client's side.

    The first line received by the channel proves that the server is authentic.

    Args:
        connection: to the server.
        secret: the run's.
        greeting: which process this is.
        soon: until when the server's first line must have come, of time.monotonic.
        deadline: until when its answer must have come.

    Raises:
        WrongSecret, WrongProtocol, OSError: this server does not accept it.
    """
    line, rest = read_line(connection, b"", soon)
    name, _, theirs = line.partition(b" ")
    if name != PROTOCOL or not NONCE.fullmatch(theirs) or rest:
        raise WrongProtocol("what listens at the address is no process 0 of this version of jaxode")
    nonce = bytes.fromhex(theirs.decode())
    own, text = secrets.token_hex(NONCE_BYTES).encode(), json.dumps(greeting).encode()
    connection.sendall(b" ".join((own, digest(secret, CLIENT, nonce, own, text), text)) + b"\n")
    answer, rest = read_line(connection, b"", deadline)
    if answer == REFUSED:
        raise WrongSecret("process 0 refuses this process's secret")
    channel = Channel(connection, digest(secret, b"key", nonce, own, text), CLIENT)
    channel.buffer = answer + b"\n" + rest
    return channel
