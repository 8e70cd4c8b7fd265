"""The signals that ask a process to end, and which of them are to be handled.

Standard library only.
"""

from __future__ import annotations

import signal

ENDING = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGXCPU")
    if hasattr(signal, name)
)
"""SIGHUP comes from a terminal that is closed, SIGXCPU when the limit on CPU time is near."""


def heeded() -> list[int]:
    """The signals to handle: all but a SIGHUP that is ignored, as it is under nohup."""
    hangup = getattr(signal, "SIGHUP", None)
    return [
        number
        for number in ENDING
        if not (number == hangup and signal.getsignal(number) == signal.SIG_IGN)
    ]
