"""How busy other processes keep the machine, which makes times unreliable."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import NamedTuple

STAT = Path("/proc/stat")


class Mark(NamedTuple):
    """Seconds until now: of the clock, of all cores' work, and of this process's."""

    clock: float
    all: float
    own: float


def mark() -> Mark | None:
    """Now; None where the system does not report it."""
    try:
        first = STAT.read_text(encoding="utf-8").split("\n")[0]
        user, nice, system, _, _, interrupts, soft, *_ = map(int, first.split()[1:])
    except (OSError, ValueError):
        return None
    own = os.times()
    busy = (user + nice + system + interrupts + soft) / os.sysconf("SC_CLK_TCK")
    return Mark(time.perf_counter(), busy, own.user + own.system)


def others(before: Mark | None) -> float | None:
    """How many cores worked for other processes since then, on average."""
    now = mark()
    if before is None or now is None or now.clock <= before.clock:
        return None
    return max(0.0, (now.all - before.all - (now.own - before.own)) / (now.clock - before.clock))
