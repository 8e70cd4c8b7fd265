"""The run that a training command is about: its settings, its model, its directory."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxode.cli.request import Request
from jaxode.config import RunConfig
from jaxode.config.dataset_names import folder_name

if TYPE_CHECKING:
    from jaxode.tasks import Task


def description(config: RunConfig) -> dict[str, Any]:
    """The model as JSON values; builds shapes only."""
    from jaxode.data import spec_of, view_shape
    from jaxode.models import describe

    spec = spec_of(config.data)
    found = describe(
        config.model, config.solve, image_shape=view_shape(config, spec), classes=spec.classes
    )
    return {"dataset": config.data.dataset, **found, "config": config.to_json()}


def resumed_config(directory: Path, request: Request, preset: RunConfig) -> RunConfig:
    """Settings of the run in a directory with the allowed changes. Raises ResumeError."""
    from jaxode.errors import ResumeError
    from jaxode.runs import merge_resume_request, read_config

    has = read_config(directory)
    if has.data.dataset != preset.data.dataset:
        found, own = has.data.dataset, preset.data.dataset
        raise ResumeError(f"{directory} is another run: dataset (run has {found}, requested {own})")
    return merge_resume_request(directory, has, request.settings)


def is_complete(directory: Path, config: RunConfig) -> bool:
    """Whether a run is complete: all epochs done, and no file missing or damaged."""
    from jaxode.runs import RunDirectory

    return RunDirectory(directory).is_complete(config, task_of(config))


def task_of(config: RunConfig) -> Task:
    """What a run on one of the named data sets learns."""
    from jaxode.data import spec_of
    from jaxode.tasks import Classification

    return Classification(spec_of(config.data).classes)


def run_directory(request: Request, config: RunConfig) -> contextlib.AbstractContextManager[Path]:
    """Context in which the run's directory is this process's alone.

    Entering it raises ConfigError.
    """
    from jaxode.runs import lock_new_run_directory, lock_run_directory

    if request.resume is not None:
        return lock_run_directory(request.resume, may_hold_run=True)
    if request.out is not None:
        return lock_run_directory(request.out)
    return lock_new_run_directory(
        Path("runs", folder_name(config.data.dataset))
        / f"{config.model.name}-{time.strftime('%Y%m%d-%H%M%S')}"
    )
