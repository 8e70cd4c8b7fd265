"""Advisory locks of open files and directories.

The system releases them when the process ends, however it ends.
"""

from __future__ import annotations

import fcntl


def lock(descriptor: int, *, wait: bool = False) -> bool:
    """Take the lock of an open file or directory; False on a file system that has no locks.

    Raises BlockingIOError if another process has it and `wait` is false.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        return False
    return True
