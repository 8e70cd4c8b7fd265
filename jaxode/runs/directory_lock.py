"""The directory of a run: made by one process, and locked by it until the run ends.

Nothing but the standard library and `jaxode.checks`, so that a claim costs no import of JAX.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from jaxode.advisory_locks import lock
from jaxode.checks import ConfigError

CONFIG = "config.json"
"""The file that makes a directory a run."""

ATTEMPTS = 100
"""How often a directory may be removed by others between its making and its locking."""


class _LockedError(Exception):
    """Another process has locked the directory."""


@dataclass(frozen=True)
class Claim:
    """A directory that this process has open, and locked where the file system has locks."""

    path: Path
    descriptor: int
    made: bool
    """Whether this process made the directory."""
    locked: bool

    @property
    def current(self) -> bool:
        """Whether the path still names the open directory, not one made after its removal."""
        try:
            return os.path.samestat(os.stat(self.path), os.fstat(self.descriptor))
        except OSError:
            return False

    def release(self) -> None:
        """Remove the directory if it was made here and nothing was put into it; unlock it."""
        try:
            # Without a lock, another process may have begun to use the directory.
            if self.made and self.locked and self.current:
                with contextlib.suppress(OSError):  # not empty
                    self.path.rmdir()
        finally:
            os.close(self.descriptor)


def try_writing(directory: Path) -> None:
    """Write a small file without a name into a directory. Raises OSError."""
    with tempfile.TemporaryFile(dir=directory) as trial:
        trial.write(bytes(4096))
        trial.flush()


def _make(path: Path, *, new: bool) -> bool:
    """Whether this process made the directory, which `new` demands. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.mkdir()
    except FileExistsError:
        if new:
            raise
        return False
    return True


def _lock(descriptor: int, path: Path) -> bool:
    """Whether the file system has locks. Raises _LockedError."""
    try:
        return lock(descriptor)
    except BlockingIOError:
        raise _LockedError(f"another process is training into {path}") from None


def _opened(path: Path, *, made: bool) -> Claim | None:
    """The directory, open and locked; None if it is gone. Raises _LockedError, OSError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        if path.is_symlink():
            raise
        return None
    try:
        claim = Claim(path, descriptor, made, _lock(descriptor, path))
        if claim.current:
            return claim
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _claim(path: Path, *, new: bool) -> Claim:
    """The directory, made if need be. Raises _LockedError, OSError."""
    for _ in range(ATTEMPTS):
        claim = _opened(path, made=_make(path, new=new))
        if claim is not None:
            return claim
    raise _LockedError(f"other processes keep removing {path}")


@contextlib.contextmanager
def _released(claim: Claim) -> Iterator[Path]:
    """Try the directory, and release it in the end. Raises ConfigError."""
    try:
        try:
            try_writing(claim.path)
        except OSError as error:
            raise _not_writable(claim.path, error) from error
        yield claim.path
    finally:
        claim.release()


def _not_writable(path: Path, error: OSError) -> ConfigError:
    return ConfigError(f"cannot write into {path}: {error.strerror or error}")


@contextlib.contextmanager
def lock_run_directory(path: Path, *, may_hold_run: bool = False) -> Iterator[Path]:
    """Context in which no other process can lock a directory; it is made if it does not exist.

    At the end the directory is removed if this process made it and nothing was put into it. The
    system unlocks it when the process ends, however it ends.

    Args:
        path: the directory.
        may_hold_run: accept a directory that holds a run.

    Raises:
        ConfigError: another process has locked it, it holds a run, or it cannot be written.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from jaxode.runs import lock_run_directory
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with lock_run_directory(Path(folder, "run")) as path:
        ...         path.is_dir()
        ...     path.exists()  # nothing was written into it
        True
        False
    """
    try:
        claim = _claim(path, new=False)
    except _LockedError as error:
        raise ConfigError(str(error)) from None
    except OSError as error:
        raise _not_writable(path, error) from error
    with _released(claim):
        if not may_hold_run and os.path.lexists(path / CONFIG):
            raise ConfigError(
                f"{path} already holds a run: go on with it by --resume {path}, or give another"
                " --out"
            )
        yield path


@contextlib.contextmanager
def lock_new_run_directory(stem: Path) -> Iterator[Path]:
    """Like `lock_run_directory`, with the first of STEM, STEM-2, STEM-3, ... that does not exist.

    Args:
        stem: path of the first.

    Raises:
        ConfigError: no such directory can be made or written.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from jaxode.runs import lock_new_run_directory
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with lock_new_run_directory(Path(folder, "run")) as first:
        ...         with lock_new_run_directory(Path(folder, "run")) as second:
        ...             first.name, second.name
        ('run', 'run-2')
    """
    for number in itertools.count(1):
        path = stem if number == 1 else stem.with_name(f"{stem.name}-{number}")
        try:
            claim = _claim(path, new=True)
            break
        except _LockedError:
            continue
        except OSError as error:
            # A parent that is a file is no reason to try the next number.
            if not (isinstance(error, FileExistsError) and path.parent.is_dir()):
                raise _not_writable(path, error) from error
    with _released(claim):
        yield path
