"""Limits of the system on this process, checked before a library meets them."""

from __future__ import annotations

import os
import threading

from jaxode.checks import ConfigError

try:
    import resource
except ImportError:  # not a POSIX system, which has no such limits
    resource = None

GIB = 1 << 30

ADDRESS_SPACE = 3 * GIB
"""Bytes of address space that the smallest run takes on two cores, with a margin.

Measured: it ends at 2.2 GB, of which 570 MB are in memory; with 2.0 GB a thread of XLA cannot be
started, which ends the process (jaxlib 0.10.2).
"""

ADDRESS_SPACE_A_CORE = GIB // 4
"""Bytes for every further core: three threads of its own, each with a stack and an arena of malloc.
"""

FILES = 64
"""Open files.

Measured: the smallest run takes 20; a checkpoint of many arrays, and prepared data, take more.
"""

THREADS = 16
THREADS_A_CORE = 8
"""Threads of XLA, of the storage library and of BLAS. Measured: 29 on two cores."""

LIKELY = {
    "File too large": ("RLIMIT_FSIZE", "the limit on the size of files is ulimit -f"),
    "Too many open files": ("RLIMIT_NOFILE", "the limit on open files is ulimit -n"),
    "Cannot allocate memory": ("RLIMIT_AS", "the limit on address space is ulimit -v"),
}
"""By the system's words for an error: the limit that may be behind it, and how a person calls it.
"""


def soft(name: str) -> int | None:
    """The limit in force, None where there is none."""
    if resource is None or not hasattr(resource, name):
        return None
    limit = resource.getrlimit(getattr(resource, name))[0]
    return None if limit == resource.RLIM_INFINITY else limit


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check() -> None:
    """Raise ConfigError, naming the limit, where no run could be made."""
    space = soft("RLIMIT_AS")
    needed = ADDRESS_SPACE + ADDRESS_SPACE_A_CORE * max(0, cores() - 2)
    if space is not None and space < needed:
        raise ConfigError(
            f"the limit on address space (ulimit -v) must be at least {needed // 1024}, got"
            f" {space // 1024}"
        )
    files = soft("RLIMIT_NOFILE")
    if files is not None and files < FILES:
        raise ConfigError(
            f"the limit on open files (ulimit -n) must be at least {FILES}, got {files}"
        )
    count = THREADS + THREADS_A_CORE * cores()
    started = startable(count)
    if started < count:
        raise ConfigError(
            "the limit on processes and threads (ulimit -u, or the container's) must leave room"
            f" for {count}, got {started}"
        )


def startable(count: int) -> int:
    """How many of `count` threads can be there at once."""
    done, threads = threading.Event(), []
    try:
        for _ in range(count):
            thread = threading.Thread(target=done.wait, daemon=True)
            thread.start()
            threads.append(thread)
    except RuntimeError:  # Python's word for EAGAIN
        pass
    finally:
        done.set()
        for thread in threads:
            thread.join()
    return len(threads)


def warn_before_kill() -> None:
    """Have SIGXCPU come while there is still CPU time left to save a checkpoint.

    `ulimit -t` sets both limits to the same number of seconds, and the system then sends SIGKILL
    alone.
    """
    if resource is None:
        return
    limit, hard = resource.getrlimit(resource.RLIMIT_CPU)
    if hard == resource.RLIM_INFINITY or limit != hard:
        return
    resource.setrlimit(resource.RLIMIT_CPU, (max(1, hard - min(hard // 4 + 1, 5 * cores())), hard))


def explained(text: str) -> str:
    """A message with the limit that is likely its cause, if the process has one."""
    for words, (name, remedy) in LIKELY.items():
        if words in text and soft(name) is not None:
            return f"{text} ({remedy})"
    return text
