"""How the processes of one run notice at once that one of them has died.

JAX's heartbeats take a minute, and then end a process in the midst of its work with a stack trace.
Here every process keeps a connection to process 0, which the system closes when a process dies,
however it dies. Heartbeats on it show a process that hangs or that the network no longer reaches. A
process that leaves in order reports it first.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable

from jaxode.distributed.channel import Channel
from jaxode.strict_json import JsonObject

HEARTBEAT_SECONDS = 5.0
SILENCE_SECONDS = 60.0
"""A process without a heartbeat for so long counts as lost."""
LEAVE_SECONDS = 20.0
"""How long after one process has left another may still train; then the first counts as lost."""


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
        """Set when a process is lost, before `on_loss` is called."""
        self.leaving, self.left = threading.Event(), threading.Event()
        self.over = threading.Event()
        for number, channel in channels.items():
            self._start(f"watch {number}", self._watch, number, channel)
        self._start("heartbeat", self._send_heartbeats)

    def _start(self, name: str, work: Callable[..., None], *arguments: object) -> None:
        threading.Thread(target=work, args=arguments, name=name, daemon=True).start()

    def leave(self, reason: str = "") -> None:
        """Report that this process has ended in order; the others are still watched.

        Args:
            reason: why, for a process that goes on.
        """
        self.leaving.set()
        self._send_all({"leaving": reason})

    def close(self) -> None:
        """Report that this process needs the others no longer."""
        with self.lock:
            if self.lost.is_set():
                return
            self.left.set()
        self._send_all({"left": True})
        self.over.set()

    def abandon(self, reason: str) -> bool:
        """Report that this process ends alone.

        Args:
            reason: why.

        Returns:
            whether it may; False if another loss already ends it.
        """
        with self.lock:
            if self.lost.is_set() or self.left.is_set():
                return False
            self.left.set()
        self._send_all({"lost": reason, "process": self.own})
        self.over.set()
        return True

    def _send_all(self, message: JsonObject) -> None:
        for channel in self.channels.values():
            with contextlib.suppress(OSError):
                channel.send(message)

    def _send_heartbeats(self) -> None:
        while not self.over.wait(HEARTBEAT_SECONDS):
            self._send_all({"alive": True})

    def _watch(self, number: int, channel: Channel) -> None:
        lost, text = number, f"process {number} has died"
        try:
            while "left" not in (message := channel.receive(time.monotonic() + SILENCE_SECONDS)):
                if "leaving" in message:
                    self._start(f"leave {number}", self._watch_leaving, number, message["leaving"])
                if "lost" in message:
                    lost, text = message["process"], message["lost"]
                    break
            else:
                return
        except TimeoutError:
            text = f"process {number} has not answered for {SILENCE_SECONDS:g} s"
        except OSError:
            pass
        self._report_lost(lost, text)

    def _watch_leaving(self, number: int, reason: str) -> None:
        """Report a process that has left as lost, unless this one leaves soon after it."""
        if not self.leaving.wait(LEAVE_SECONDS):
            self._report_lost(
                number, f"process {number} has ended{f': {reason}' if reason else ''}"
            )

    def _report_lost(self, number: int, text: str) -> None:
        with self.lock:
            if self.left.is_set() or self.lost.is_set():
                return
            self.lost.set()
        self._send_all({"lost": text, "process": number})
        self.over.set()
        self.on_loss(number, text)
