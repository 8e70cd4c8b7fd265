"""The processes of one run, on each host or for each device: how they agree, and how they end.

Every process runs the same program on its own devices and reads the images from its own disk.
Process 0 alone decides what is not the same everywhere, and broadcasts it. It alone writes results
and checkpoints.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Self, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils
from jaxtyping import PyTree

from jaxode.checks import ConfigError
from jaxode.data import DataError
from jaxode.distributed.outcome import SHARED_ERRORS, Outcome, result_of
from jaxode.distributed.watchdog import Watchdog
from jaxode.errors import Stopped, out_of_memory

logger = logging.getLogger(__name__)

GRACE_SECONDS = 20.0
"""How long an error waits for the watchdog's report that another process is lost. That comes within
milliseconds unless a machine is overloaded."""

LAST_SECONDS = 10.0
"""How long `on_process_lost` may take."""

LOCAL_ERRORS = (OSError, MemoryError, KeyboardInterrupt, ConfigError, DataError)
"""Errors that no lost process causes: such a loss comes out of JAX, as one of several types."""

SMALLEST_TEXT = 4096
"""Bytes, in which most of what process 0 broadcasts has room."""

Result = TypeVar("Result")
Json = TypeVar("Json")
"""A JSON value."""


def wait_to_be_ended() -> None:
    """Let the watchdog's thread, which has noticed a lost process, end this one."""
    threading.Event().wait()


@dataclass
class ProcessGroup:
    """The processes of a run; without arguments, the one process of an ordinary run.

    Args:
        index: the number of this process, from 0.
        count: how many processes there are.
        watchdog: watches the others.
        on_process_lost: called with a process's number and a sentence before this process ends,
            because that one is lost or, if it is its own number, cannot go on.
        report: shows the line with which this process then ends; logs it by default.

    Example:
        >>> from jaxode.distributed import ProcessGroup
        >>> ProcessGroup().all_gather([3, 4])
        [[3, 4]]
    """

    index: int = 0
    count: int = 1
    watchdog: Watchdog | None = None
    on_process_lost: list[Callable[[int, str], None]] = field(default_factory=list)
    report: Callable[[str], None] = logger.error
    cut_off: bool = False
    """Whether this process has left the others, which JAX would wait for."""
    shared_error: Exception | None = None
    """An error of process 0 that it has broadcast."""

    @property
    def first(self) -> bool:
        """Whether this is process 0."""
        return self.index == 0

    def all_gather(self, numbers: Sequence[int]) -> list[list[int]]:
        """Whole numbers of every process; waits for all.

        Args:
            numbers: of this process; all processes give as many.

        Returns:
            A list for each process.
        """
        if self.count == 1:
            return [list(numbers)]
        return multihost_utils.process_allgather(np.asarray(numbers, np.int32)).tolist()

    def broadcast_arrays(self, tree: PyTree) -> PyTree:
        """The arrays of process 0.

        Args:
            tree: a pytree of them; in the others, one of the same shapes.
        """
        if self.count == 1:
            return tree
        return multihost_utils.broadcast_one_to_all(jax.tree.map(np.asarray, tree))

    def broadcast_from_main(self, work: Callable[[], Json]) -> Json:
        """The result of `work` in process 0 alone.

        Args:
            work: returns a JSON value.

        Raises:
            Exception: the error of `work`, in all processes; in the others a RunFailed unless its
                type is one of SHARED_ERRORS.
        """
        if self.count == 1:
            return work()
        outcome = Outcome.of(work) if self.first else Outcome()
        size = int(self.broadcast_arrays(np.asarray(len(outcome.text), np.int32)))
        # Few lengths, for each compiles a program.
        room = max(SMALLEST_TEXT, 1 << (size - 1).bit_length())
        text = np.frombuffer(outcome.text.ljust(room), np.uint8)
        text = bytes(self.broadcast_arrays(text))
        if outcome.error is not None:
            self.shared_error = outcome.error
            raise outcome.error
        return result_of(text)

    def main_first(self, work: Callable[[], Result]) -> Result:
        """The result of `work` in each process, process 0 first.

        Args:
            work: may write to a disk that all share.
        """
        if self.first:
            result = work()
            self.all_gather([0])
            return result
        self.all_gather([0])
        return work()

    def assert_equal(self, what: str, value: object) -> None:
        """Check that all processes have the same value.

        Args:
            what: names it in the message.
            value: a JSON value.

        Raises:
            ConfigError: in every process; names those whose value differs from process 0's.
        """
        own = json.loads(json.dumps(value))
        same = self.all_gather([int(self.broadcast_from_main(lambda: own) == own)])
        others = [str(number) for number, (good,) in enumerate(same) if not good]
        if others:
            plural = "es" if len(others) > 1 else ""
            raise ConfigError(
                f"process{plural} {', '.join(others)} has not the {what} of process 0"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        """Leave in order after an end that all processes reach; report any other to them."""
        shared = error is None or error is self.shared_error
        shared = shared or isinstance(error, (Stopped, *SHARED_ERRORS.values()))
        self.cut_off = not shared and self.watchdog is not None
        reason = " ".join(str(error or "").split()) or (kind.__name__ if kind else "")
        if error is not None and not shared:
            self.wait_for_lost_process(error)
            self.abandon(reason)
        if isinstance(error, Exception) and not isinstance(error, Stopped):
            # Whatever the error, no result is left "running".
            self._call_on_process_lost(self.index, reason)
        if shared and self.watchdog is not None:
            self.watchdog.leave(reason)
            jax.distributed.shutdown()  # waits for the others, which the watchdog still watches
            self.watchdog.close()

    def wait_for_lost_process(self, error: BaseException) -> None:
        """Wait before an error is shown: return only if no lost process is its cause.

        Args:
            error: which may come from the loss of another process.
        """
        if self.watchdog is None or isinstance(error, LOCAL_ERRORS) or out_of_memory(error):
            return
        if self.watchdog.lost.wait(GRACE_SECONDS):
            wait_to_be_ended()

    def abandon(self, reason: str) -> None:
        """Report to the others that this process ends alone; returns if none of them is lost.

        Args:
            reason: why, for the message of the others.
        """
        text = f"process {self.index} has ended: {reason}"
        if self.watchdog is not None and not self.watchdog.abandon(text):
            wait_to_be_ended()

    def end_process(self, number: int, text: str, code: int = 1) -> None:
        """End this process at once, with one line.

        Nothing else can end it: its main thread may wait in C++ for a device that waits for the
        lost process.

        Args:
            number: of the process that is lost, or its own if it cannot go on.
            text: a sentence about it.
            code: the exit code.
        """
        try:
            advice = ": go on with --resume, with as many processes as there are"
            self.report(f"error: {text}{advice if self.on_process_lost else ''}")
            arguments = (number, text)
            last = threading.Thread(target=self._call_on_process_lost, args=arguments, daemon=True)
            last.start()
            last.join(LAST_SECONDS)
            sys.stdout.flush()
        finally:
            os._exit(code)

    def _call_on_process_lost(self, number: int, text: str) -> None:
        for action in self.on_process_lost:
            with contextlib.suppress(Exception):  # a full disk may come with it
                action(number, text)

    def end(self, code: int) -> int:
        """The exit code; a process that is cut off from the others ends here with it.

        Python's own end of a process would wait, within JAX, for the others.

        Args:
            code: the exit code.
        """
        if self.cut_off:
            with contextlib.suppress(OSError):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)
        return code
