"""The settings in the directory of a run."""

from __future__ import annotations

from pathlib import Path

from jaxode.checks import ConfigError, one_line, printable, shortened
from jaxode.config import MODEL_FACTS, ModelChoice, RunConfig, model_name
from jaxode.config.migration import migrated
from jaxode.errors import ResumeError
from jaxode.runs.directory_lock import CONFIG
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
        values = migrated(read_object(path, CONFIG_BYTES))
        _check_model(directory, values.get("model"), own)
        return RunConfig.from_json(values, own)
    except (FileNotFoundError, NotADirectoryError):
        raise ResumeError(f"{directory} is no run: it has no {CONFIG}") from None
    except OSError as error:
        raise ResumeError(f"cannot read {path}: {error.strerror}") from error
    except ResumeError:
        raise
    except (ConfigError, ValueError) as error:
        raise ResumeError(
            f"{path} is damaged: {one_line(error).removeprefix(f'{path}: ')}"
        ) from error


def _check_model(directory: Path, settings: object, own: ModelChoice | None) -> None:
    """Raise ResumeError if a run is of a model that is not registered, and not of the one given."""
    name = settings.get("model") if isinstance(settings, dict) else None
    given = None if own is None else model_name(own)
    if not isinstance(name, str) or name == given:
        return
    if given is not None:
        raise ResumeError(f"{directory} is a run of {printable(shortened(name))}, not of {given}")
    if "." in name and name not in MODEL_FACTS:
        raise ResumeError(
            f"{directory} is a run of {printable(shortened(name))}, which is not registered: pass"
            " the model in Python, to jaxode.load(…, model=…) or jaxode.fit(…, resume=True)"
        )
