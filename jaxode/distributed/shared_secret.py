"""The secret that a run's processes share to authenticate each other. It is never sent.

It comes from the environment, the same in every process, or from a file that process 0 writes for
the others: by default in the user's cache directory, which the machines of a cluster usually share.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import socket
import stat
from collections.abc import Mapping
from pathlib import Path

from jaxode.checks import ConfigError
from jaxode.distributed.membership import Membership
from jaxode.errors import RunFailed

VARIABLE = "JAXODE_SECRET"
LEAST_CHARACTERS = 16
SECRET_BYTES = 32
HEADER = b"jaxode secret 1 "
"""What a secret file begins with; process 0 replaces no file that begins otherwise."""
CONTENT = re.compile(rb"%s([0-9a-f]{%d})\n" % (HEADER, 2 * SECRET_BYTES))
ADVICE = (
    f"set {VARIABLE} to the same random text in every process, or give --secret-file on a disk that"
    " all see"
)
LOOPBACK = re.compile(r"localhost|127\.[0-9.]+|::1")


def from_environment(environment: Mapping[str, str] = os.environ) -> bytes | None:
    """The secret in JAXODE_SECRET.

    Args:
        environment: the variables.

    Returns:
        The secret; None if it is not set.

    Raises:
        ConfigError: it is too short.
    """
    text = environment.get(VARIABLE)
    if text is None:
        return None
    if len(text) < LEAST_CHARACTERS:
        least = f"at least {LEAST_CHARACTERS} characters"
        raise ConfigError(f"{VARIABLE} must have {least}, got {len(text)}")  # and no word of it
    return text.encode("utf-8", "surrogateescape")


def default_path(member: Membership, environment: Mapping[str, str] = os.environ) -> Path:
    """Where process 0 writes the secret by default: under a name that no other run has.

    Args:
        member: the process, whose address and job name the file.
        environment: the variables.

    Raises:
        ConfigError: there is no home directory.
    """
    home = environment.get("XDG_CACHE_HOME") or ""
    try:
        cache = Path(home) if os.path.isabs(home) else Path.home() / ".cache"
    except RuntimeError:
        raise ConfigError(f"there is no home directory for the run's secret: {ADVICE}") from None
    # Every machine of a cluster has a localhost of its own.
    machine = f"{socket.gethostname()}-" if LOOPBACK.fullmatch(member.host) else ""
    name = f"{machine}{member.host}-{member.port}{f'-{member.job}' if member.job else ''}"
    return cache / "jaxode" / "rendezvous" / re.sub(r"[^A-Za-z0-9.-]", "_", name)


class EnvironmentSecret:
    """A secret that every process reads from its environment."""

    hint = ""

    def __init__(self, value: bytes) -> None:
        self.value = value

    def publish(self) -> bytes:
        """The secret; all have it."""
        return self.value

    def read(self) -> bytes | None:
        """The secret."""
        return self.value

    def withdraw(self) -> None:
        """Nothing is to be removed."""


class SecretFile:
    """A secret that process 0 generates and writes into a file, which the others read.

    Args:
        path: the file.
        make_directory: whether its directory may be created, for this user alone.
    """

    def __init__(self, path: Path, *, make_directory: bool = False) -> None:
        self.path, self.make_directory = path, make_directory
        self.hint = f" in {path}: if process 0 is running, {ADVICE}"
        self.value: bytes | None = None

    def publish(self) -> bytes:
        """Generate a secret and write it.

        Raises:
            ConfigError: the path is another file, which is not replaced.
            RunFailed: the file could not be written.
        """
        self.value = secrets.token_bytes(SECRET_BYTES)
        try:
            if self.make_directory:
                self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._refuse_to_replace()
            self._write(HEADER + self.value.hex().encode() + b"\n")
        except OSError as error:
            reason = error.strerror or error
            message = f"cannot write the run's secret to {self.path}: {reason}: {ADVICE}"
            raise RunFailed(message) from error
        return self.value

    def _write(self, content: bytes) -> None:
        temporary = self.path.with_name(f".{self.path.name}.{secrets.token_hex(8)}")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            with os.fdopen(os.open(temporary, flags, 0o600), "wb") as file:
                file.write(content)
            os.replace(temporary, self.path)  # readers see the whole file or none
        except OSError:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise

    def _refuse_to_replace(self) -> None:
        try:
            status = self.path.lstat()
        except FileNotFoundError:
            return
        if not stat.S_ISREG(status.st_mode) or not self._content().startswith(HEADER):
            what = "exists and is no secret of an earlier run"
            raise ConfigError(f"{self.path} {what}: give another --secret-file")

    def read(self) -> bytes | None:
        """The secret in the file now; None before there is one.

        Raises ConfigError if it is not private.
        """
        try:
            match = CONTENT.fullmatch(self._content())
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno == errno.ESTALE:  # replaced on a network file system
                return None
            reason = error.strerror or error
            raise ConfigError(f"cannot read the run's secret in {self.path}: {reason}") from error
        return bytes.fromhex(match[1].decode()) if match else None

    def _content(self) -> bytes:
        descriptor = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if status.st_uid != os.geteuid():
                raise ConfigError(
                    f"{self.path} belongs to another user: the secret must be in your own"
                )
            if status.st_mode & 0o077:
                others = "can be read or written by other users"
                raise ConfigError(f"{self.path} {others}: its mode must be 0600")
            return file.read(1024) if stat.S_ISREG(status.st_mode) else b""

    def withdraw(self) -> None:
        """Remove the file once nobody needs it, unless another run has put its own in its place."""
        with contextlib.suppress(OSError, ConfigError):
            if self.value is not None and self.read() == self.value:
                self.path.unlink()


def shared_secret(member: Membership, path: Path | None) -> EnvironmentSecret | SecretFile:
    """The source of this run's secret.

    Args:
        member: this process.
        path: the secret's file; by default one in the user's cache directory.

    Raises:
        ConfigError: the secret is given twice, or is too short.
    """
    given = from_environment()
    if given is None:
        return SecretFile(path or default_path(member), make_directory=path is None)
    if path is not None:
        raise ConfigError(f"give the run's secret by {VARIABLE} or by --secret-file, not by both")
    return EnvironmentSecret(given)
