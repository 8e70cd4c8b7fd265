"""What killed processes leave in a run's directory is removed by the next that has the run."""

from __future__ import annotations

import contextlib
import re
import stat
from collections.abc import Collection
from pathlib import Path

from jaxode.checks import ConfigError
from jaxode.runs import checkpoint_folder
from jaxode.runs.checkpoint_folder import CHECKPOINTS
from jaxode.runs.directory_lock import lock_run_directory

UNFINISHED = re.compile(r"\.[a-z_]+\.(json|jsonl|png|npz)\.unfinished(-[0-9a-f]{16})?", re.ASCII)
"""Names under which `files.write_whole` writes and has written."""

TRIAL = re.compile(r"\.trial-[a-z0-9_]{8}", re.ASCII)
TRIAL_BYTES = 4096
"""Earlier versions tried a directory with a file of such a name and at most this size."""


def _left(path: Path) -> bool:
    """Whether a file is one that a killed process left."""
    if UNFINISHED.fullmatch(path.name):
        return True
    try:
        found = path.lstat()
    except OSError:
        return False
    small = stat.S_ISREG(found.st_mode) and found.st_size <= TRIAL_BYTES
    return small and TRIAL.fullmatch(path.name) is not None


def sweep(run: Path, whole: Collection[str] = ()) -> None:
    """Delete what killed processes left. Only for the process that has the lock.

    Args:
        run: the run's directory.
        whole: names of checkpoints that are known to be whole.
    """
    for folder in (run, run / CHECKPOINTS):
        for name in checkpoint_folder.entries(folder):
            if _left(folder / name):
                with contextlib.suppress(OSError):
                    (folder / name).unlink()
    checkpoint_folder.sweep(run / CHECKPOINTS, whole)


def sweep_unless_claimed(run: Path) -> None:
    """Do so for a complete run, unless another process has it or it cannot be written."""
    with contextlib.suppress(ConfigError), lock_run_directory(run, may_hold_run=True):
        sweep(run)
