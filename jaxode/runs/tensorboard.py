"""The same metrics as event files for TensorBoard, where tensorboardX is installed."""

from __future__ import annotations

import errno
import secrets
from pathlib import Path
from typing import Any

from jaxode.checks import ConfigError
from jaxode.runs.history import History


def require_tensorboard() -> Any:
    """The writer class of tensorboardX.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        from tensorboardX import SummaryWriter  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ConfigError(
            "--tensorboard needs a package that is not installed: pip install tensorboardX"
        ) from error
    return SummaryWriter


class EventWriter:
    """Event files of a run in one directory.

    Raises ConfigError if tensorboardX is not installed.
    """

    def __init__(self, directory: Path) -> None:
        self.kind = require_tensorboard()
        self.directory = directory
        self.writer: Any = None
        self.written = 0

    def write(self, history: History) -> None:
        """Add the epochs that are not in the event files yet. Raises OSError.

        The first call begins the files anew.

        The names of the files cannot be guessed: the library would follow a symlink.

        Args:
            history: a line for each epoch.
        """
        if self.writer is None:
            if self.directory.is_symlink():
                raise OSError(errno.ELOOP, "Is a symbolic link", str(self.directory))
            for path in self.directory.glob("events.out.tfevents.*"):
                path.unlink()
            self.writer = self.kind(str(self.directory), filename_suffix=f".{secrets.token_hex(8)}")
        for record in history[self.written :]:
            for name, value in record.items():
                if name != "epoch" and isinstance(value, int | float):
                    self.writer.add_scalar(name, value, record["epoch"])
        self.written = len(history)
        self.writer.flush()

    def close(self) -> None:
        """Close the files."""
        if self.writer is not None:
            self.writer.close()
