"""The settings in the directory of a run."""

from __future__ import annotations

from pathlib import Path

from jaxode.checks import ConfigError, one_line
from jaxode.config import RunConfig
from jaxode.config.models import ModelChoice
from jaxode.errors import ResumeError
from jaxode.runs.directory_lock import CONFIG
from jaxode.runs.migration import migrated
from jaxode.strict_json import read_object

CONFIG_BYTES = 1 << 20
"""More than any settings."""


def read_config(directory: Path, own: ModelChoice | None = None) -> RunConfig:
    """The settings of the run in a directory.

    Args:
        directory: of the run.
        own: the class or function of a model that is not registered, which the settings name.

    Raises:
        ResumeError: it holds no run, or one whose settings are damaged.

    Example:
        >>> from pathlib import Path
        >>> from jaxode.runs import read_config
        >>> read_config(Path("nowhere"))
        Traceback (most recent call last):
        jaxode.errors.ResumeError: nowhere is no run: it has no config.json
    """
    path = directory / CONFIG
    try:
        return RunConfig.from_json(migrated(read_object(path, CONFIG_BYTES)), own)
    except (FileNotFoundError, NotADirectoryError):
        raise ResumeError(f"{directory} is no run: it has no {CONFIG}") from None
    except OSError as error:
        raise ResumeError(f"cannot read {path}: {error.strerror}") from error
    except (ConfigError, ValueError) as error:
        raise ResumeError(
            f"{path} is damaged: {one_line(error).removeprefix(f'{path}: ')}"
        ) from error
