"""Files that an experiment writes as its run begins, so that a stopped run has them too."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxode.callbacks import RunInfo
from jaxode.checks import ConfigError, one_line, require
from jaxode.runs.files import write_json
from jaxode.strict_json import read_object


class WrittenAtTheStart:
    """A callback that writes files when training begins.

    Args:
      out: the run's directory.
      files: contents by name.
    """

    def __init__(self, out: Path, files: dict[str, dict[str, Any]]) -> None:
        self.out, self.files = out, files

    def on_start(self, run: RunInfo) -> None:
        """Write them."""
        for name, content in self.files.items():
            write_json(self.out / name, content)


def require_same(path: Path, settings: Mapping[str, Any]) -> None:
    """Raise ConfigError if a file of the run to go on with has other settings.

    Args:
      path: of the file; nothing is required where there is none.
      settings: by name, those that the run is to have.
    """
    if not path.is_file():
        return
    try:
        before = read_object(path)
    except ValueError as error:
        raise ConfigError(one_line(error)) from error
    for name, value in settings.items():
        require(before.get(name) == value, name, value, f"{before.get(name)}, as in {path}")
