"""A request to go on with a run: which of the run's settings it may change."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from jaxode.config import RunConfig
from jaxode.errors import ResumeError
from jaxode.runs.extension import with_epochs
from jaxode.runs.identity import RESUMABLE_SETTINGS, differences
from jaxode.runs.run_directory import RunDirectory


def merge_resume_request(
    directory: Path, config: RunConfig, request: Mapping[str, object]
) -> RunConfig:
    """The settings of a run with what a request changes of them.

    Args:
        directory: of the run.
        config: the run's settings.
        request: settings by name. Those of `RESUMABLE_SETTINGS` may differ from the run's, and
            `epochs`: where the learning rate depends on their number, there may be more, and the
            settings record it (`RunConfig.extended_from`).

    Raises:
        ResumeError: the request would change other settings, and names each; or the epochs that
            are done cannot be read.
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
    rest = {name: value for name, value in request.items() if name != "epochs"}
    wrong = differences(config, rest)
    if wrong:
        raise ResumeError(f"{directory} is another run: {', '.join(wrong)}")
    changes = {name: value for name, value in rest.items() if name in RESUMABLE_SETTINGS}
    epochs = request.get("epochs", config.epochs)
    if epochs != config.epochs:
        # Validated before it is compared.
        epochs = config.replaced(epochs=epochs, extended_from=()).epochs
        done = len(RunDirectory(directory).history)
        config = with_epochs(directory, config, epochs, done)
    return config.replaced(**changes)
