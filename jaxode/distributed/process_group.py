"""The processes of one run, on each host or for each device: how they connect and agree.

Every process runs the same program on its own devices and reads the images from its own disk.
Process 0 alone decides what is not the same everywhere, writes results and checkpoints, and tells
the others.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from jaxode.checks import ConfigError
from jaxode.data import DataError
from jaxode.distributed.watchdog import Watchdog
from jaxode.errors import CheckpointError, ResumeError, RunFailed, Stopped, out_of_memory

GRACE_SECONDS = 20.0
"""How long an error waits for the news that another process is lost. It comes within milliseconds
unless a machine is overloaded."""

LAST_SECONDS = 10.0
"""How long the last actions of a process may take when another is lost."""

OWN_ERRORS = (OSError, MemoryError, KeyboardInterrupt, ConfigError, DataError)
"""Errors that no lost process causes: such a loss comes out of JAX, as one of several types."""

SMALLEST_TEXT = 4096
"""Bytes, in which most of what process 0 tells has room."""

RETOLD = {kind.__name__: kind for kind in (ConfigError, ResumeError, CheckpointError, RunFailed)}
"""Errors that all processes come to together."""

Found = TypeVar("Found")


def wait_for_the_end() -> None:
    """Let the thread that has noticed a loss end this process."""
    threading.Event().wait()


@dataclass
class ProcessGroup:
    """The processes of a run; without arguments, the one process of an ordinary run."""

    index: int = 0
    count: int = 1
    watchdog: Watchdog | None = None
    at_loss: list[Callable[[int, str], None]] = field(default_factory=list)
    """What to do before this process ends because one of them, or it itself, cannot go on: the
    number of that process and a sentence are given."""
    torn: bool = False
    agreed: Exception | None = None
    """An error of process 0 of which it has told the others."""

    @property
    def first(self) -> bool:
        """Whether this is process 0."""
        return self.index == 0

    def all_gather(self, numbers: Sequence[int]) -> list[list[int]]:
        """Every process's numbers, by process; waits until all have given theirs."""
        if self.count == 1:
            return [list(numbers)]
        return multihost_utils.process_allgather(np.asarray(numbers, np.int32)).tolist()

    def arrays(self, tree: Any) -> Any:
        """The arrays of process 0; the others give a pytree of the same shapes."""
        if self.count == 1:
            return tree
        return multihost_utils.broadcast_one_to_all(jax.tree.map(np.asarray, tree))

    def broadcast_from_main(self, work: Callable[[], Any]) -> Any:
        """What process 0 finds by `work`, a JSON value; its error is raised by all.

        Raises RunFailed in the other processes in place of errors of kinds that only process 0
        knows.
        """
        if self.count == 1:
            return work()
        error, text = None, b""
        if self.first:
            try:
                text = json.dumps({"found": work()}).encode()
            except Exception as caught:
                error = caught
                text = json.dumps({"kind": type(caught).__name__, "error": str(caught)}).encode()
        size = int(self.arrays(np.asarray(len(text), np.int32)))
        room = max(
            SMALLEST_TEXT, 1 << (size - 1).bit_length()
        )  # few lengths, for each compiles a program
        text = bytes(self.arrays(np.frombuffer(text.ljust(room), np.uint8)))
        if error is not None:
            self.agreed = error
            raise error
        answer = json.loads(text)
        if "error" in answer:
            raise RETOLD.get(answer["kind"], RunFailed)(answer["error"])
        return answer["found"]

    def main_first(self, work: Callable[[], Found]) -> Found:
        """What each process finds by `work`, process 0 first.

        It may write to a disk that all share.
        """
        if self.first:
            found = work()
            self.all_gather([0])
            return found
        self.all_gather([0])
        return work()

    def assert_equal(self, what: str, value: Any) -> None:
        """Raise ConfigError in every process unless all have the same JSON value."""
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
        """Leave in order after an end that all processes reach.

        The others are told of any other end.
        """
        agreed = error is None or error is self.agreed
        agreed = agreed or isinstance(error, (Stopped, *RETOLD.values()))
        self.torn = not agreed and self.watchdog is not None
        reason = " ".join(str(error or "").split()) or (kind.__name__ if kind else "")
        if error is not None and not agreed:
            self.wait_for_news(error)
            self.abandon(reason)
        if isinstance(error, Exception) and not isinstance(error, Stopped):
            self._act_on_loss(self.index, reason)  # whatever the error, no result is left "running"
        if agreed and self.watchdog is not None:
            self.watchdog.leave(reason)
            jax.distributed.shutdown()  # waits for the others, which the watchdog still watches
            self.watchdog.close()

    def wait_for_news(self, error: BaseException) -> None:
        """Before an error is shown: return only if it is not the loss of another process."""
        if self.watchdog is None or isinstance(error, OWN_ERRORS) or out_of_memory(error):
            return
        if self.watchdog.lost.wait(GRACE_SECONDS):
            wait_for_the_end()

    def abandon(self, reason: str) -> None:
        """Let the others know that this process ends alone; returns if none of them is lost."""
        words = f"process {self.index} has ended: {reason}"
        if self.watchdog is not None and not self.watchdog.abandon(words):
            wait_for_the_end()

    def end_because_lost(self, number: int, words: str, code: int = 1) -> None:
        """End this process at once, with one line: another is lost, or it cannot go on."""
        try:
            advice = ": go on with --resume, with as many processes as there are"
            print(f"error: {words}{advice if self.at_loss else ''}", file=sys.stderr, flush=True)
            last = threading.Thread(target=self._act_on_loss, args=(number, words), daemon=True)
            last.start()
            last.join(LAST_SECONDS)
            sys.stdout.flush()
        finally:
            # The main thread may wait for a device that waits for the lost process.
            os._exit(code)

    def _act_on_loss(self, number: int, words: str) -> None:
        for action in self.at_loss:
            with contextlib.suppress(Exception):  # a full disk may come with it
                action(number, words)

    def end(self, code: int) -> int:
        """The exit code.

        A process cut off from the others ends here with it, for JAX would wait for them.
        """
        if self.torn:
            with contextlib.suppress(OSError):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)
        return code
