"""A request to go on with a run: the run's settings, and which of them it may change."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from jaxode.checks import ConfigError, one_line
from jaxode.config import RunConfig
from jaxode.config.migration import migrated
from jaxode.errors import ResumeError
from jaxode.runs.directory_lock import CONFIG
from jaxode.runs.identity import RESUMABLE_SETTINGS, differences
from jaxode.strict_json import read_object

CONFIG_BYTES = 1 << 20
"""More than any settings."""


def read_config(directory: Path) -> RunConfig:
    """The settings of the run in a directory.

    Args:
        directory: of the run.

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
        return RunConfig.from_json(migrated(read_object(path, CONFIG_BYTES)))
    except (FileNotFoundError, NotADirectoryError):
        raise ResumeError(f"{directory} is no run: it has no {CONFIG}") from None
    except OSError as error:
        raise ResumeError(f"cannot read {path}: {error.strerror}") from error
    except (ConfigError, ValueError) as error:
        raise ResumeError(
            f"{path} is damaged: {one_line(error).removeprefix(f'{path}: ')}"
        ) from error


def merge_resume_request(
    directory: Path, config: RunConfig, request: Mapping[str, object]
) -> RunConfig:
    """The settings of a run with what a request changes of them.

    Args:
        directory: of the run, for messages.
        config: the run's settings.
        request: settings by name. Those of `RESUMABLE_SETTINGS` may differ from the run's, and
            `epochs` if its learning rate is constant.

    Raises:
        ResumeError: the request would change other settings; names each.
        ConfigError: a value is invalid.

    Example:
        >>> from pathlib import Path
        >>> from jaxode.config import OptimConfig, RunConfig
        >>> from jaxode.runs import merge_resume_request
        >>> config = RunConfig(epochs=2, optim=OptimConfig(schedule="constant"))
        >>> merge_resume_request(Path("run"), config, {"epochs": 3}).epochs
        3
        >>> merge_resume_request(Path("run"), config, {"seed": 1})
        Traceback (most recent call last):
        jaxode.errors.ResumeError: run is another run: seed (run has 0, requested 1)
    """
    wrong = differences(config, request)
    if wrong:
        raise ResumeError(f"{directory} is another run: {', '.join(wrong)}")
    names = (*RESUMABLE_SETTINGS, "epochs")
    return config.replaced(**{name: value for name, value in request.items() if name in names})
