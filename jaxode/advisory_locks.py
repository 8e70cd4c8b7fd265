"""Advisory locks of open files and directories.

The system releases them when the process ends, however it ends.
"""

from __future__ import annotations

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


def lock(descriptor: int, *, wait: bool = False) -> bool:
    """Take the lock of an open file or directory; False where there are no such locks.

    There are none on Windows and on some file systems.

    Raises BlockingIOError if another process has it and `wait` is false.
    """
    if fcntl is None:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        return False
    return True
