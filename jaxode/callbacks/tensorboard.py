"""A run's numbers as event files for TensorBoard, where tensorboardX is installed."""

from __future__ import annotations

import errno
import os
import secrets
from pathlib import Path
from typing import Any

from jaxode.callbacks.base import Callback, RunInfo, TrainingStep
from jaxode.callbacks.event_files import keep_events
from jaxode.checks import ConfigError
from jaxode.strict_json import JsonObject

STEP = "step/"
"""Beginning of the names of what is written for each training step."""

FLUSH_SECONDS = 5


def require_tensorboard() -> Any:
    """The package tensorboardX.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import tensorboardX  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ConfigError(
            "TensorBoard's event files need a package that is not installed:"
            " pip install 'jaxode[tensorboard]'"
        ) from error
    return tensorboardX


class TensorBoard(Callback):
    """Writes event files: `step/…` for each training step, the other names for each epoch.

    `step/loss`, `step/lr`, `step/gradient_norm` and of a model that solves an ODE `step/nfe`,
    `step/accepted` and `step/rejected` stand at the number of the training step; the numbers of
    metrics.jsonl stand under their names at the number of the epoch. A resumed run goes on in the
    same directory: what had been written of steps after its checkpoint, which are done again, is
    taken out of the files, so that no step is there twice.

    Args:
      directory: where the files go; by default `tensorboard` in the run's directory.

    Raises:
      ConfigError: tensorboardX is not installed.

    Example:
      >>> import jaxode
      >>> logger = jaxode.callbacks.TensorBoard("events")  # doctest: +SKIP
      >>> jaxode.fit(model, task, data, config, callbacks=[logger])  # doctest: +SKIP
    """

    def __init__(self, directory: str | os.PathLike[str] | None = None) -> None:
        self.library = require_tensorboard()
        self.directory = None if directory is None else Path(directory)
        self.writer: Any = None

    def on_start(self, run: RunInfo) -> None:
        """Open the files.

        Raises:
          ConfigError: there is no directory to write into.
          OSError: it cannot be written, or is a symbolic link.
        """
        directory = self.directory
        if directory is None:
            if run.directory is None:
                raise ConfigError("TensorBoard must be given a directory for a run without one")
            directory = run.directory / "tensorboard"
        if directory.is_symlink():  # the library would follow it
            raise OSError(errno.ELOOP, "Is a symbolic link", str(directory))
        written = self._drop_later(directory, run.step, len(run.history))
        # The name of the file cannot be guessed, for the library follows symbolic links.
        self.writer = self.library.SummaryWriter(
            str(directory),
            # A TensorBoard that is open forgets what it has read of later steps.
            purge_step=run.step + 1 if run.step else None,
            flush_secs=FLUSH_SECONDS,
            filename_suffix=f".{secrets.token_hex(8)}",
        )
        for metrics in run.history:
            if metrics["epoch"] not in written:
                self.on_epoch(metrics)

    def _drop_later(self, directory: Path, step: int, epochs: int) -> set[int]:
        """Take what is later than a checkpoint out of the files; returns the epochs in them."""
        event_of = self.library.proto.event_pb2.Event.FromString
        written: set[int] = set()

        def keep(event: Any) -> bool:
            tags = [value.tag for value in event.summary.value]
            if not tags:
                return True
            if tags[0].startswith(STEP):
                return event.step <= step
            if event.step <= epochs:
                written.add(event.step)
            return event.step <= epochs

        keep_events(directory, event_of, keep)
        return written

    def on_step(self, step: TrainingStep) -> None:
        """Write the numbers of a training step."""
        for name, value in step._asdict().items():
            if name not in ("step", "epoch") and value is not None:
                self.writer.add_scalar(STEP + name, value, step.step)

    def on_epoch(self, metrics: JsonObject) -> None:
        """Write the numbers of an epoch. Raises OSError."""
        for name, value in metrics.items():
            if name != "epoch" and isinstance(value, int | float):
                self.writer.add_scalar(name, value, metrics["epoch"])
        self.writer.flush()

    def on_end(self, result: JsonObject) -> None:
        """Close the files."""
        if self.writer is not None:
            self.writer.close()
            self.writer = None
