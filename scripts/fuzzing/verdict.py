"""What a program answered to one hostile input, and whether that is as it should be.

Two answers are right: one line that names what is wrong, or an acceptance whose result is the one
expected. Everything else is a fault: a traceback, a hang, memory out of proportion, an acceptance
of something wrong, a message that is not one line.
"""

from __future__ import annotations

import contextlib
import io
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import FrameType
from typing import Any

SECONDS = 20.0
"""Longest time for one input; the slowest right answer takes a second or two."""

MEMORY_BYTES = 400 << 20
"""Most memory that one input may take beside what the process has; every input is a few MB at most.
"""

LINE_LENGTH = 700
"""Characters of the longest line that still counts as clear: a long path and a list of choices."""


class Answer(Enum):
    """How a program answered."""

    CLEAR_LINE = "one clear line"
    ACCEPTED = "right acceptance"
    TRACEBACK = "traceback"
    HANG = "hang"
    MEMORY = "memory out of proportion"
    UNCLEAR = "no clear line"
    WRONG = "wrong acceptance"
    LOST = "something lost"

    @property
    def right(self) -> bool:
        """Whether this is an answer that a user may get."""
        return self in (Answer.CLEAR_LINE, Answer.ACCEPTED)


@dataclass(frozen=True)
class Finding:
    """One input and its answer.

    Attributes:
        name: what was done, in words.
        answer: the kind of answer.
        detail: the message, or what is wrong with it.
    """

    name: str
    answer: Answer
    detail: str = ""


@dataclass(frozen=True)
class Case:
    """A hostile input: its description, and the attempt, which returns the answer and its text."""

    name: str
    attempt: Callable[[], tuple[Answer, str]]


class Overdue(BaseException):
    """The attempt took too long.

    No Exception, so that no handler of the program takes it for its own.
    """


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise Overdue in the main thread after so many seconds; an earlier alarm goes on."""

    def ring(signum: int, frame: FrameType | None) -> None:
        raise Overdue

    begin, handler = time.monotonic(), signal.signal(signal.SIGALRM, ring)
    # Again every second: a library may catch the first one.
    left, _ = signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        if left:
            signal.setitimer(signal.ITIMER_REAL, max(0.001, left - (time.monotonic() - begin)))


def peak_memory(*, reset: bool = False) -> int:
    """Largest resident set of the process since the last reset, in bytes.

    0 where there is no /proc of Linux.
    """
    try:
        if reset:
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    except OSError:
        pass
    return 0


def carry_out(case: Case, seconds: float = SECONDS) -> Finding:
    """Attempt one case within bounds of time and memory."""
    before = peak_memory(reset=True)
    try:
        with time_limit(seconds):
            answer, detail = case.attempt()
    except Overdue:
        return Finding(case.name, Answer.HANG, f"no answer within {seconds:g} s")
    except Exception as error:  # whatever escapes the program is what is looked for
        return Finding(
            case.name, Answer.TRACEBACK, f"{type(error).__name__}: {error}"[:LINE_LENGTH]
        )
    allocated = peak_memory() - before
    if allocated > MEMORY_BYTES:
        return Finding(case.name, Answer.MEMORY, f"{allocated >> 20} MB")
    return Finding(case.name, answer, detail)


def clear(line: str) -> bool:
    """Whether a message is one printable line of bearable length."""
    return 0 < len(line) <= LINE_LENGTH and line.isprintable()


def refusal(error: Exception) -> tuple[Answer, str]:
    """The answer of a function that raised one of its documented errors."""
    text = str(error)
    return (Answer.CLEAR_LINE if clear(text) else Answer.UNCLEAR), text


def of_call(
    work: Callable[[], Any], documented: tuple[type[Exception], ...], right: Callable[[Any], str]
) -> tuple[Answer, str]:
    """The answer of a function.

    Args:
        work: calls it.
        documented: the errors that its docstring names.
        right: takes its result; returns what is wrong with it, or "".
    """
    err = io.StringIO()
    try:
        with contextlib.redirect_stderr(err):
            found = work()
    except documented as error:
        answer, text = refusal(error)
    else:
        text = right(found)
        answer = Answer.WRONG if text else Answer.ACCEPTED
    if "Traceback" in err.getvalue():
        return Answer.TRACEBACK, err.getvalue().strip().splitlines()[-1]
    return answer, text


def of_command(
    main: Callable[[list[str]], int], argv: list[str], right: Callable[[str], str]
) -> tuple[Answer, str]:
    """The answer of a command line run in this process.

    Args:
        main: the command's main function.
        argv: its arguments.
        right: takes what it printed to stdout when it ended with code 0; returns what is wrong, or
          "".
    """
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(argv)
        except SystemExit as stop:
            return Answer.UNCLEAR, f"SystemExit({stop.code!r}) left main"
    return of_ending(code, out.getvalue(), err.getvalue(), right)


def of_ending(code: int, out: str, err: str, right: Callable[[str], str]) -> tuple[Answer, str]:
    """The answer of a command by its exit code and what it printed; see `of_command`."""
    lines = err.splitlines()
    if "Traceback" in err:
        return Answer.TRACEBACK, lines[-1]
    if not all(clear(line) for line in lines if line):
        return Answer.UNCLEAR, err[:LINE_LENGTH]
    if code == 0:
        wrong = right(out)
        return (Answer.WRONG, wrong) if wrong else (Answer.ACCEPTED, "")
    if code not in (1, 2) or not lines or ": error: " not in lines[-1]:
        return Answer.UNCLEAR, f"exit code {code}, {lines[-1:] or 'no message'}"
    if sum(": error: " in line for line in lines) > 1:
        return Answer.UNCLEAR, f"{len(lines)} lines: {err[:LINE_LENGTH]}"
    return Answer.CLEAR_LINE, lines[-1]


def counted(findings: list[Finding]) -> dict[str, int]:
    """How many findings there are of each kind of answer, right ones first."""
    counts = Counter(finding.answer for finding in findings)
    return {answer.value: counts[answer] for answer in Answer}
