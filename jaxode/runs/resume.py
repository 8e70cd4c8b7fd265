"""Going on with a run: its settings, and what a request may not change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jaxode.checks import ConfigError, one_line
from jaxode.config import RunConfig
from jaxode.errors import ResumeError
from jaxode.runs.directory_lock import CONFIG
from jaxode.runs.migration import migrated
from jaxode.strict_json import read_object

CONFIG_BYTES = 1 << 20
"""More than any settings."""

RESUMABLE_SETTINGS = ("data_dir", "feed", "max_steps", "devices", "kernels")
"""Settings that decide where data lie, when to give up or who works how, never what a step is meant
to compute.
"""


def read_config(directory: Path) -> RunConfig:
    """Settings of the run in a directory.

    Raises ResumeError if it holds no run, or one whose settings are damaged.
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


def differences(has: RunConfig, asked: dict[str, Any]) -> list[str]:
    """Each setting of a request that contradicts the run, as "name (run has X, asked Y)"."""
    own = has.flat()
    found = []
    for name, value in asked.items():
        extended = name == "epochs" and has.optim.schedule == "constant"
        undecided = name == "data" and value == "auto"
        if own[name] != value and name not in RESUMABLE_SETTINGS and not extended and not undecided:
            found.append(f"{name} (run has {own[name]}, asked {value})")
    return found


def merge_resume_request(directory: Path, has: RunConfig, asked: dict[str, Any]) -> RunConfig:
    """The run's settings with the allowed changes.

    They are data_dir, max_steps, and epochs of a constant schedule.

    Raises ResumeError naming every other setting that the request would change, ConfigError on an
    invalid value.
    """
    found = differences(has, asked)
    if found:
        raise ResumeError(f"{directory} is another run: {', '.join(found)}")
    free = {name: value for name, value in asked.items() if name in (*RESUMABLE_SETTINGS, "epochs")}
    return has.replaced(**free)
