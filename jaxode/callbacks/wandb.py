"""A run's numbers for Weights & Biases, where the package wandb is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jaxode.callbacks.base import Callback, RunInfo, TrainingStep
from jaxode.checks import ConfigError, one_line
from jaxode.errors import RunFailed
from jaxode.runs.files import write_json
from jaxode.strict_json import JsonObject, need, read_object

IDENTITY = "wandb.json"
"""File in the run's directory with the run's name at Weights & Biases, for a resume."""

STEP, EPOCH = "step/", "epoch/"
"""Beginnings of the names of what is logged for each training step and for each epoch."""


def require_wandb() -> Any:
    """The package wandb.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import wandb  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ConfigError(
            "Weights & Biases needs a package that is not installed: pip install 'jaxode[wandb]'"
        ) from error
    return wandb


class WandB(Callback):
    """Logs a run to Weights & Biases: `step/…` for each training step, `epoch/…` for each epoch.

    The settings become the run's configuration, and the numbers of the result its summary. A
    resumed run goes on as the same run there; steps that had been logged before are not logged
    again. `WANDB_MODE=offline` logs into the run's directory, without network; `wandb sync`
    uploads it later.

    Args:
      project: of the run at Weights & Biases.
      options: further arguments of `wandb.init`, such as `name`, `group` or `tags`.

    Raises:
      ConfigError: wandb is not installed.

    Example:
      >>> import jaxode
      >>> logger = jaxode.callbacks.WandB("odenets", tags=["mnist"])  # doctest: +SKIP
      >>> jaxode.fit(model, task, data, config, callbacks=[logger])  # doctest: +SKIP
    """

    def __init__(self, project: str, **options: Any) -> None:
        self.library = require_wandb()
        self.project, self.options = project, options
        self.run: Any = None
        self.logged = 0

    def on_start(self, run: RunInfo) -> None:
        """Begin a run at Weights & Biases, or go on with the one of this directory.

        Raises:
          ConfigError: it refuses, for want of a login, say.
        """
        place = {} if run.directory is None else {"dir": str(run.directory)}
        known = None if run.directory is None else _identity(run.directory / IDENTITY)
        resumed = {} if known is None else {"id": known["id"], "resume": "allow"}
        settings = {
            "project": self.project,
            "config": run.config.to_json(),
            **place,
            **resumed,
            **self.options,
        }
        try:
            self.run = self.library.init(**settings)
        except self.library.Error as error:
            raise ConfigError(f"Weights & Biases: {one_line(error)}") from error
        self.run.define_metric(f"{EPOCH}*", step_metric="epoch")
        # Steps that are done again after a kill have been logged before.
        self.logged = max(run.step, 0 if known is None else known["step"])
        self._remember(run.directory)
        self.directory, self.last = run.directory, run.step

    def _remember(self, directory: Path | None) -> None:
        if directory is not None:
            write_json(directory / IDENTITY, {"id": self.run.id, "step": self.logged})

    def on_step(self, step: TrainingStep) -> None:
        """Log the numbers of a training step."""
        self.last = step.step
        numbers = {
            STEP + name: value
            for name, value in step._asdict().items()
            if name not in ("step", "epoch") and value is not None
        }
        if step.step > self.logged:
            self._log(numbers)

    def on_epoch(self, metrics: JsonObject) -> None:
        """Log the numbers of an epoch beside its last step."""
        numbers = {
            EPOCH + name: value
            for name, value in metrics.items()
            if name != "epoch" and isinstance(value, int | float)
        }
        if self.last >= self.logged:
            self._log({**numbers, "epoch": metrics["epoch"]})
        self._remember(self.directory)

    def _log(self, numbers: dict[str, float]) -> None:
        try:
            self.run.log(numbers, step=self.last)
        except self.library.Error as error:
            raise RunFailed(f"Weights & Biases: {one_line(error)}") from error
        self.logged = self.last

    def on_end(self, result: JsonObject) -> None:
        """Write the summary, and end the run there."""
        if self.run is None:
            return
        self._remember(self.directory)
        good = result["status"] in ("complete", "stopped_early")
        self.run.summary.update(
            {name: v for name, v in result.items() if isinstance(v, int | float | str)}
        )
        self.run.finish(exit_code=0 if good else 1)
        self.run = None


def _identity(path: Path) -> dict[str, Any] | None:
    """What `WandB` has written into a run's directory; None if it has not, or it is damaged."""
    try:
        values = read_object(path)
        return {"id": need(values, "id", str, path), "step": need(values, "step", int, path)}
    except (OSError, ValueError):
        return None
