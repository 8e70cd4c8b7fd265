"""Ctrl-C and SIGTERM: the first asks the run to save and stop, the second ends the process at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import FrameType
from typing import Any, Self, TypeVar

Result = TypeVar("Result")


class Interrupts:
    """Context in which SIGINT and SIGTERM set `signum` and are otherwise put off.

    Python runs signal handlers only between the byte codes of the main thread, so what takes long goes to a second
    thread by `wait`, during which handlers run at once. Outside the main thread the context changes nothing.
    """

    signals = (signal.SIGINT, signal.SIGTERM)

    def __init__(self, say: Callable[[str], None] | None = None) -> None:
        self.signum: int | None = None
        self.say = say or (lambda text: print(text, file=sys.stderr, flush=True))
        self.previous: dict[int, Any] = {}

    def __enter__(self) -> Self:
        self.worker = ThreadPoolExecutor(1)
        if threading.current_thread() is threading.main_thread():
            self.previous = {number: signal.signal(number, self._handle) for number in self.signals}
        return self

    def __exit__(self, *exception: object) -> None:
        self.worker.shutdown(wait=True)
        for number, handler in self.previous.items():
            signal.signal(number, handler)

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        if self.signum is not None:
            signal.signal(signum, signal.SIG_DFL)
            os.kill(os.getpid(), signum)
            return
        self.signum = signum
        self.say(f"{signal.Signals(signum).name}: saving and stopping; once more to stop at once without saving")

    def wait(self, work: Callable[[], Result]) -> Result:
        """The result of `work`, done in the second thread. JAX's context managers do not reach it there."""
        return self.worker.submit(work).result()
