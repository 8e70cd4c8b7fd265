"""Processes of the parts: started side by side or alone, ended when their time is over."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from scripts.gpu.row import Row

COMPLETE, OUT_OF_TIME, FAILED, NOT_STARTED = "complete", "out of time", "failed", "not started"

PATIENCE = 15.0
"""Seconds for a process to end after it was asked to."""


@dataclass
class Ended:
    """How a part's process ended.

    Attributes:
      name: of the part.
      status: "complete", "out of time" (which loses no row), "failed" or "not started".
      seconds: that it took.
      note: the last line of its log where it failed.
    """

    name: str
    status: str
    seconds: float = 0.0
    note: str = ""


class Child:
    """A running command, whose output goes into a file."""

    def __init__(self, name: str, words: Sequence[str], log: Path) -> None:
        """Start it, in a session of its own, so that its own children end with it."""
        self.name, self.log = name, log
        self._file: IO[bytes] = open(log, "wb")  # noqa: SIM115
        self._process = subprocess.Popen(
            words, stdout=self._file, stderr=subprocess.STDOUT, start_new_session=True
        )
        self._begin = time.monotonic()

    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    def stop(self) -> None:
        """Ask it to end, as Ctrl-C does, and end it where it does not."""
        self._signal(signal.SIGINT)
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
            self._process.wait()

    def ended(self, stopped: bool = False) -> Ended:
        """How it ended; to be called once, after its end."""
        self._file.close()
        seconds = time.monotonic() - self._begin
        if stopped:
            return Ended(self.name, OUT_OF_TIME, seconds)
        code = self._process.returncode
        if code == 0:
            return Ended(self.name, COMPLETE, seconds)
        lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or [""]
        return Ended(self.name, FAILED, seconds, f"exit code {code}: {lines[-1][:200]}")

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
            os.killpg(self._process.pid, number)


def run(
    commands: Sequence[tuple[str, Sequence[str]]], logs: Path, until: float, together: int = 1
) -> list[Ended]:
    """Run commands, some at a time, until a time of `time.monotonic`.

    Args:
      commands: names and words.
      logs: folder of their outputs.
      until: when those that still run are stopped, and no other is started.
      together: how many run side by side.
    """
    waiting, running, ended = list(commands), list[Child](), list[Ended]()
    try:
        while waiting or running:
            for child in [child for child in running if not child.running()]:
                running.remove(child)
                ended.append(child.ended())
            if time.monotonic() >= until:
                break
            while waiting and len(running) < together:
                name, words = waiting.pop(0)
                running.append(Child(name, words, logs / f"{name}.txt"))
            time.sleep(0.1)
    finally:  # also if the user stops the check
        for child in running:
            child.stop()
    ended += [child.ended(stopped=True) for child in running]
    return ended + [Ended(name, NOT_STARTED) for name, _ in waiting]


def read(path: Path) -> tuple[dict[str, Any] | None, list[Row]]:
    """Where the rows of a part's file come from, and the rows; a line cut off by a kill is not one.

    None and no rows where the part has not begun.
    """
    if not path.exists():
        return None, []
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            break
    return (found[0], [Row(**row) for row in found[1:]]) if found else (None, [])
