"""Ends the training when a metric has stopped to improve."""

from __future__ import annotations

from typing import Literal

from jaxode.callbacks.base import Callback, RunInfo
from jaxode.checks import ConfigError, require_count
from jaxode.strict_json import JsonObject


class EarlyStopping(Callback):
    """Ends the training after `patience` epochs in a row without a better value of a metric.

    It depends on the history alone, so a resumed run stops where an uninterrupted one does.

    Source: Prechelt 1998, "Early Stopping - But When?", the third class of criteria (UP_s).

    Args:
      patience: epochs without a better value, at least 1.
      monitor: name of the metric; by default the task's, by which the best epoch is chosen.
      mode: whether it is to be large (`max`) or small (`min`); by default the task's for the
        task's own monitor.
      min_delta: a value is better if it is so by more than this, at least 0.

    Raises:
      ConfigError: a value outside its range, or a `monitor` without `mode`.

    Example:
      >>> from jaxode.callbacks import EarlyStopping, RunInfo
      >>> from jaxode.config import RunConfig
      >>> from jaxode.tasks import Regression
      >>> run = RunInfo(RunConfig(), Regression(), None, 2, 8, [], 0)
      >>> stopping = EarlyStopping(patience=2, monitor="test_loss", mode="min")
      >>> stopping.on_start(run)
      >>> for epoch, loss in enumerate([0.5, 0.3, 0.4, 0.3], 1):
      ...     stopping.on_epoch({"epoch": epoch, "test_loss": loss})
      >>> run.stop_reason
      'test_loss is not below 0.3 of epoch 2 after 2 more epochs'
    """

    def __init__(
        self,
        patience: int = 5,
        *,
        monitor: str | None = None,
        mode: Literal["max", "min"] | None = None,
        min_delta: float = 0.0,
    ) -> None:
        require_count("patience", patience)
        if (monitor is None) != (mode is None):
            raise ConfigError(
                f"monitor and mode must be given together, got {monitor!r} and {mode!r}"
            )
        if mode not in (None, "max", "min"):
            raise ConfigError(f"mode must be max or min, got {mode!r}")
        if not min_delta >= 0:
            raise ConfigError(f"min_delta must be at least 0, got {min_delta!r}")
        self.patience, self.monitor, self.mode, self.min_delta = patience, monitor, mode, min_delta

    def on_start(self, run: RunInfo) -> None:
        """Read the history of a resumed run."""
        self.run, self.best, self.best_epoch = run, None, 0
        self.name = self.monitor or run.task.monitor
        self.sign = 1.0 if (self.mode or run.task.mode) == "max" else -1.0
        for metrics in run.history:
            self.on_epoch(metrics)

    def on_epoch(self, metrics: JsonObject) -> None:
        """Compare an epoch with the best one.

        Raises:
          ConfigError: the metric does not exist.
        """
        if self.name not in metrics:
            known = ", ".join(name for name, v in metrics.items() if isinstance(v, float))
            raise ConfigError(f"monitor must be one of {known}, got {self.name!r}")
        value, epoch = metrics[self.name], metrics["epoch"]
        if value is None:  # the training images are not evaluated after every epoch
            return
        if self.best is None or self.sign * (value - self.best) > self.min_delta:
            self.best, self.best_epoch = value, epoch
        elif epoch - self.best_epoch >= self.patience:
            side = "above" if self.sign > 0 else "below"
            self.run.stop(
                f"{self.name} is not {side} {self.best:.4g} of epoch {self.best_epoch} after"
                f" {epoch - self.best_epoch} more epochs"
            )
