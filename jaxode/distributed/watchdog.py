"""How the processes of one run notice at once that one of them has died.

JAX's heartbeats take their time, and then end a process in the midst of its work with a stack
trace. Here every process keeps a connection to process 0, which the system closes when a process
dies, however it dies. Heartbeats on it tell of a process that hangs or that the network no longer
reaches. A process that leaves in order says so.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Any

from jaxode.distributed.channel import Channel

HEARTBEAT_SECONDS = 5.0
SILENCE_SECONDS = 60.0
"""After so long without a heartbeat, a process is given up."""
LEAVE_SECONDS = 20.0
"""By so much one process may leave before the others; then it has left them alone."""


class Watchdog:
    """Watches the connections to other processes, each in a thread.

    Args:
        own: the number of this process.
        channels: by the numbers of the processes at their other ends.
        on_loss: called once, with the number of a process that is lost and a sentence, in the
            thread that noticed it.
    """

    def __init__(
        self,
        own: int,
        channels: dict[int, Channel],
        on_loss: Callable[[int, str], None],
    ) -> None:
        self.own, self.channels, self.on_loss = own, channels, on_loss
        self.lock = threading.Lock()
        self.lost = threading.Event()
        """Set when a process is lost, before anything is done about it."""
        self.leaving, self.left = threading.Event(), threading.Event()
        self.over = threading.Event()
        for number, channel in channels.items():
            self._start(f"watch {number}", self._watch, number, channel)
        self._start("heartbeat", self._beat)

    def _start(self, name: str, work: Callable[..., None], *arguments: object) -> None:
        threading.Thread(target=work, args=arguments, name=name, daemon=True).start()

    def leave(self, reason: str = "") -> None:
        """Tell the others that this process has ended in order, and why; they are still watched."""
        self.leaving.set()
        self._say({"leaving": reason})

    def close(self) -> None:
        """Say that this process needs the others no longer."""
        with self.lock:
            if self.lost.is_set():
                return
            self.left.set()
        self._say({"left": True})
        self.over.set()

    def abandon(self, reason: str) -> bool:
        """Say that this process ends alone, and why. Returns False if its end has begun already."""
        with self.lock:
            if self.lost.is_set() or self.left.is_set():
                return False
            self.left.set()
        self._say({"lost": reason, "process": self.own})
        self.over.set()
        return True

    def _say(self, message: dict[str, Any]) -> None:
        for channel in self.channels.values():
            with contextlib.suppress(OSError):
                channel.send(message)

    def _beat(self) -> None:
        while not self.over.wait(HEARTBEAT_SECONDS):
            self._say({"alive": True})

    def _watch(self, number: int, channel: Channel) -> None:
        lost, words = number, f"process {number} has died"
        try:
            while "left" not in (message := channel.receive(time.monotonic() + SILENCE_SECONDS)):
                if "leaving" in message:
                    self._start(f"leave {number}", self._expect, number, message["leaving"])
                if "lost" in message:
                    lost, words = message["process"], message["lost"]
                    break
            else:
                return
        except TimeoutError:
            words = f"process {number} has not answered for {SILENCE_SECONDS:g} s"
        except OSError:
            pass
        self._lose(lost, words)

    def _expect(self, number: int, reason: str) -> None:
        """A process leaves: soon this one does so too, or it would wait for it in vain."""
        if not self.leaving.wait(LEAVE_SECONDS):
            self._lose(number, f"process {number} has ended{f': {reason}' if reason else ''}")

    def _lose(self, number: int, words: str) -> None:
        with self.lock:
            if self.left.is_set() or self.lost.is_set():
                return
            self.lost.set()
        self._say({"lost": words, "process": number})
        self.over.set()
        self.on_loss(number, words)
