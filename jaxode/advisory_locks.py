"""Advisory locks of open files and directories.

The system releases them when the process ends, however it ends.
"""

from __future__ import annotations

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


def lock(descriptor: int, *, wait: bool = False) -> bool:
    """Lock an open file or directory.

    Args:
        descriptor: its file descriptor.
        wait: until no other process has locked it.

    Returns:
        whether there are such locks: not on Windows, nor on some file systems.

    Raises:
        BlockingIOError: another process has locked it, and `wait` is false.
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
