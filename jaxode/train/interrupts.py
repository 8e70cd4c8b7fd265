"""Ctrl-C and SIGTERM: the first saves and stops the run, the second ends the process."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from types import FrameType
from typing import Any, Self, TypeVar

from jaxode.ending_signals import heeded
from jaxode.errors import Stopped

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

SAVING = "saving and stopping; once more to stop at once without saving"
COMPILING = "stopping; nothing has been computed since the last checkpoint"
COMPILING_TOGETHER = "stopping as soon as XLA has compiled; once more to stop at once"

POLL_SECONDS = 0.1
"""How soon a signal is answered that was delivered to another thread, and a compilation given up.
"""


RETRY_SECONDS = 0.02


class _GiveUp(KeyboardInterrupt):
    """Raised by the handler inside work that loses nothing by it; never leaves this module."""


class Interrupts:
    """Context in which signals that ask for an end set `signum` and are otherwise put off.

    They are SIGINT, SIGTERM, SIGHUP unless it is ignored (nohup), and SIGXCPU, which says that the
    limit on CPU time is near. Python runs signal handlers only between the byte codes of the main
    thread, so long work goes to a second thread by `wait`, during which handlers run at once.
    Outside the main thread the context changes nothing.

    Args:
        say: shows a line about a signal; it is logged by default.
    """

    again = (signal.SIGINT, signal.SIGTERM)
    """Of these a second one ends the process; a closed terminal sends SIGHUP twice, and SIGXCPU
    comes every second.
    """

    def __init__(self, say: Callable[[str], None] | None = None) -> None:
        self.signum: int | None = None
        self.say = say or logger.warning
        self.previous: dict[int, Any] = {}
        self.answer = SAVING
        self.giving_up = self.waiting = self.retried = False
        self.retry: threading.Timer | None = None

    def __enter__(self) -> Self:
        self.worker = futures.ThreadPoolExecutor(1)
        if threading.current_thread() is threading.main_thread():
            self.previous = {number: signal.signal(number, self._handle) for number in heeded()}
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.worker.shutdown(wait=not (isinstance(error, Stopped) and error.compiling))
        for number, handler in self.previous.items():
            signal.signal(number, handler)

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        if self.signum is None:
            self.signum = signum
            cause = (
                "the limit on CPU time (ulimit -t) is near: "
                if signum == getattr(signal, "SIGXCPU", 0)
                else ""
            )
            with contextlib.suppress(
                OSError, RuntimeError
            ):  # no terminal any more; or in the midst of another print
                self.say(f"{signal.Signals(signum).name}: {cause}{self.answer}")
            self._raise_in_work()
        elif self.retried:
            self.retried = False
            self._raise_in_work()
        elif signum in self.again:
            signal.signal(signum, signal.SIG_DFL)
            os.kill(os.getpid(), signum)

    def _raise_in_work(self) -> None:
        if self.giving_up and not self.waiting:
            raise _GiveUp

    def _lost(self, unraisable: sys.UnraisableHookArgs) -> None:
        # Python cannot propagate an exception out of a callback of its garbage collector (JAX has
        # one), and a signal is often handled in one, for they are the first lines of Python to run
        # within long work of a library.
        if not isinstance(unraisable.exc_value, _GiveUp):
            return sys.__unraisablehook__(unraisable)
        self.retried = True
        self.retry = threading.Timer(RETRY_SECONDS, os.kill, (os.getpid(), self.signum))
        self.retry.start()

    @contextlib.contextmanager
    def compiling(self, alone: bool = True) -> Iterator[None]:
        """Context of work that is given up when a signal comes, by raising Stopped.

        Nothing is lost by that: a model that is built, traced or compiled changes no state.

        Args:
            alone: whether the run has one process. One of several has to go on instead, for the
                others would wait for it.
        """
        self.answer, self.giving_up = (COMPILING, True) if alone else (COMPILING_TOGETHER, False)
        hook, sys.unraisablehook = sys.unraisablehook, self._lost
        try:
            self._give_up_if_asked()
            yield
            self._give_up_if_asked()  # a library may have caught what the handler raised
        except Stopped:
            raise
        except BaseException:
            self._give_up_if_asked()  # whatever a library has made of it
            raise
        finally:
            self.answer, self.giving_up = SAVING, False
            sys.unraisablehook = hook
            if (
                self.retry is not None
            ):  # its signal must not come when this class handles signals no more
                self.retry.cancel()
                self.retry.join()
                self.retry, self.retried = None, False

    def _give_up_if_asked(self) -> None:
        if self.giving_up and self.signum is not None:
            raise Stopped(self.signum) from None

    def wait(self, work: Callable[[], Result]) -> Result:
        """The result of `work`, done in a second thread, out of reach of JAX's context managers.

        Args:
            work: may take long.

        Raises:
            Stopped: a signal came within `compiling`; `work` goes on in its thread.
        """
        self.waiting = True
        try:
            future = self.worker.submit(work)
            # Not without end: the system may deliver a signal to another thread, which does not
            # wake this one.
            while not futures.wait([future], POLL_SECONDS).done:
                if self.giving_up and self.signum is not None:
                    raise Stopped(self.signum, compiling=True)
            return future.result()
        finally:
            self.waiting = False
