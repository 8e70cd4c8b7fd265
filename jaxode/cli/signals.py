"""Signals outside of training: one line, the exit code 128 + signal, no traceback.

Training has its own handler.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any, NoReturn, Self

from jaxode.cli import streams
from jaxode.ending_signals import heeded

STOPPED = 128
"""Added to the number of a signal, it makes the exit code of a command that the signal ended."""

RETURN_SECONDS = 1.0
"""How long a thread waits for the main thread to react to a signal, before it ends the process."""


class Interrupted(KeyboardInterrupt):
    """A signal asked the command to end. Libraries clean up after it as they do after Ctrl-C."""

    def __init__(self, signum: int) -> None:
        super().__init__(f"stopped by {described(signum)}")
        self.signum = signum


def described(signum: int) -> str:
    """The signal's name; for the limit on CPU time also what it means."""
    name = signal.Signals(signum).name
    return f"{name}: the limit on CPU time (ulimit -t) is reached" if name == "SIGXCPU" else name


def leave(code: int) -> NoReturn:
    """End the process now, without exit handlers and without waiting for other threads."""
    streams.flushed()
    os._exit(code)


def end_by(signum: int, prog: str) -> NoReturn:
    """One line, and the end of the process, from within a signal handler."""
    # Not by print: the signal may have come in the midst of another print, whose buffer is then
    # locked.
    with contextlib.suppress(OSError):  # the terminal may be gone
        os.write(2, f"{prog}: stopped by {described(signum)}\n".encode(errors="backslashreplace"))
    leave(STOPPED + signum)


class Signals:
    """Context in which the first signal that asks for an end raises Interrupted.

    It is raised in the main thread.

    While `at_once` is True it ends the process instead: an exception in the midst of the import of
    an extension module is lost, or becomes an ImportError. So does a second signal, unless the
    system sends it by itself: a terminal that is closed and its shell both send SIGHUP, and SIGXCPU
    comes every second.
    """

    def __init__(self, prog: str, at_once: bool = False) -> None:
        self.prog, self.at_once = prog, at_once
        self.signum: int | None = None
        self.previous: dict[int, Any] = {}

    def __enter__(self) -> Self:
        self.previous = self.install()
        return self

    def install(self) -> dict[int, Any]:
        """Install the signal handlers and return the earlier ones.

        jax.distributed takes SIGTERM for itself, so this is called again after it has started.
        """
        if threading.current_thread() is not threading.main_thread():
            return {}
        return {number: signal.signal(number, self._handle) for number in heeded()}

    def __exit__(self, *exception: object) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)

    @contextlib.contextmanager
    def blocked(self) -> Iterator[None]:
        """Context of a library call that waits without returning to Python, such as a rendezvous.

        Python's handlers run in the main thread alone, which such a call keeps; here another thread
        ends the process.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        read, write = os.pipe()
        os.set_blocking(write, False)
        returned = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(read, returned), daemon=True)
        before = signal.set_wakeup_fd(write)
        watcher.start()
        try:
            yield
        finally:
            returned.set()
            signal.set_wakeup_fd(before)
            os.close(write)
            watcher.join()
            os.close(read)

    def _watch(self, read: int, returned: threading.Event) -> None:
        while number := os.read(read, 1):
            # Where the main thread is in Python, its handler comes first and cleans up.
            if number[0] in self.previous and not returned.wait(RETURN_SECONDS):
                end_by(number[0], self.prog)

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        if self.at_once or (self.signum is not None and signum in (signal.SIGINT, signal.SIGTERM)):
            end_by(signum, self.prog)
        if self.signum is None:
            self.signum = signum
            raise Interrupted(signum)


def own_name() -> str:
    """The command that this process runs, as a person types it."""
    words = sys.orig_argv
    name = next((after for word, after in itertools.pairwise(words) if word == "-m"), words[0])
    return f"python -m {name}"


def from_now_on() -> None:
    """End this process with one line on any signal, until a context of `Signals` is entered.

    A signal that comes while the interpreter itself starts, before it runs any line of this
    repository, is Python's.
    """
    Signals(own_name(), at_once=True).__enter__()
